// Written by tests/contracts/cairo_vectors.py, which says what is what.
#[cfg(test)]
mod vectors {
    use super::ProofNode;

    pub const CHAIN_ID: felt252 = 0x50455250434841494e;
    pub const EXCHANGE: felt252 = 0x5c0ffee5c0ffee5c0ffee5c0ffee5c0ffee5c0ffee5c0ffee5c0ffee5c0ffe0;
    pub const CLASS_HASH: felt252 = 0x65786368616e676520636c617373;
    pub const CLASSES_ROOT: felt252 = 0x636c617373657320726f6f74;
    pub const EXCHANGE_NONCE: felt252 = 0x3;
    pub const PRESENT_ID: felt252 = 0x7769746864726177616c2037;
    pub const ABSENT_ID: felt252 = 0x616273656e74;
    pub const PRESENT_SLOT: felt252 =
        0x6d533d0ee2bce82d949f98877ea2557b2deada49ba998e1dd7298be9557ea2a;
    pub const PRESENT_LEAF: felt252 =
        0x7dba3be372652e023327cc71d44cef877c7a9311034615a37b2fe3a5e2bd350;
    pub const STATE_ROOT: felt252 =
        0x6d6ac6198fb4a6d09533a1b3b079831e729c03cff8b3a9114d787c624fd43e4;
    pub const MESSAGE_HASH_0: felt252 =
        0x3da579af8351f655e0f800ea3aa9e6e0a7f8323d9311d0b22dcb2876fcce35;
    pub const MESSAGE_HASH_1: felt252 =
        0x2aabe3297b788c9bf3a17889a8b101433149f0db860bb88908e443ea93488e3;
    pub const MESSAGE_HASH_2: felt252 =
        0x6a387327d0dec4fe8321082ede0d923795c7b6d424537fd3bff8275d05c0b2c;
    pub const DEPOSIT_HASH_0: felt252 =
        0x122241d9a2da5936b4126bb2415428c85c8929eabf27edb88e6ad27a2bc0edd;
    pub const DEPOSIT_HASH_1: felt252 =
        0x453eaf65cec413566ff3f2810529d117c337214779f1ddeb21327c68c081f39;
    pub const DEPOSIT_HASH_2: felt252 =
        0x77447685d4e8b61efbdd7931e1adc20364a317d8ce032aded99c8128568f0c6;

    pub fn present() -> Array<ProofNode> {
        array![
            ProofNode::Binary(
                (
                    0x47f4342ae5cf731d4f2e275a1fd51c6d4fc8e707699d04ad48bc689465a0f89,
                    0x2dca16f47795544637a40509a5a21055cf8693ce49e64fc2cce6dab5456d811,
                ),
            ),
            ProofNode::Binary(
                (
                    0x2e38f033a10f9f91806d3b6ac4f2ea43ce850797d39ef9de16b2f2c4c3bd416,
                    0x4fafd873875a2d5fd47d050700ce6649f5c8de119b7fd2a17a699f2bf28a947,
                ),
            ),
            ProofNode::Binary(
                (
                    0x6be55543a1f8708e87b5c37eccb9d99fff034769e6d46504781f883126e89e0,
                    0x22a148f4f6a2605a563b6262b3ebbeed0c75ae7a217bc48021a13f7e7ed577e,
                ),
            ),
            ProofNode::Binary(
                (
                    0x6e65e57a22508f067aede71d8d7469d0c162272b62143ba9e325ea929291cf5,
                    0x1521bd242934f63207e3b6691427d07db97ef8e00aad5c904d51d2b58d4dab2,
                ),
            ),
            ProofNode::Edge(
                (
                    0x1,
                    1,
                    0x417ec2b85245feb558f8cf61fa7ac74a3d14588acda07a75e0672f990ee7f87,
                ),
            ),
            ProofNode::Binary(
                (
                    0x33c076dd0ed2ecf55fd556601f58bedc9cf0ca7b4977e764a5335403a746f54,
                    0x206c2b718f220c75db372a29815f0fca1480b47846c28a77a4222fcfd7b82fc,
                ),
            ),
            ProofNode::Edge(
                (
                    0x1533d0ee2bce82d949f98877ea2557b2deada49ba998e1dd7298be9557ea2a,
                    245,
                    0x7dba3be372652e023327cc71d44cef877c7a9311034615a37b2fe3a5e2bd350,
                ),
            ),
        ]
    }

    pub fn absent() -> Array<ProofNode> {
        array![
            ProofNode::Binary(
                (
                    0x47f4342ae5cf731d4f2e275a1fd51c6d4fc8e707699d04ad48bc689465a0f89,
                    0x2dca16f47795544637a40509a5a21055cf8693ce49e64fc2cce6dab5456d811,
                ),
            ),
            ProofNode::Binary(
                (
                    0x68669680eaefb3862922d5c4d84f17703e06023c1d91bd313bc850ca855da8b,
                    0x1866a38d88614f51485cfaa583b26bd633138550d913b71575e664d4fc11317,
                ),
            ),
            ProofNode::Binary(
                (
                    0x1e9c28b1b9748f337a0af867d7a350f79f4752d1c3c905e86eb7231c76727aa,
                    0x246a07603a408921ae2e3e615f99ea16be853dde34a1afdba8c6b8f5fdca20f,
                ),
            ),
            ProofNode::Binary(
                (
                    0x114508c767b88466b4cab9015204914daff17ed592c859d5548c200fc746db5,
                    0x2295f4c8820fefdb6888df4d542f356a87b0c6751ffbadcbd18c0a60a037f1,
                ),
            ),
            ProofNode::Binary(
                (
                    0x301e2dc7cfd0f3c16f0a38436f5ba89d591d58872c7f835ab2b97688b166b81,
                    0x77999af3fec19788ca0a71ddd791ccc00115059001bc1684861421cae9d1fc,
                ),
            ),
            ProofNode::Binary(
                (
                    0x8592633b5540b51fe943171eb42b3b75b485153d68c08a1d544fdad757f7d0,
                    0x3996d66528e96f3332c089a1602e55dacbd1207120b663f601265f591298fa8,
                ),
            ),
            ProofNode::Binary(
                (
                    0x1518d0d8e8888933f91730944f7644355b4544cadb70e2934e65e18f43d29c5,
                    0x32193cc0da2d5530fb720ee496f4b1aa05393b45fe02f409bfb99b59bf238a4,
                ),
            ),
            ProofNode::Edge(
                (
                    0xa1db2aad28e75b3e93fd3c542224215b7467940fd89727495856fc819227e,
                    244,
                    0x450cfc0c7fa0b6da5bbfe459e2c6a3436daad024db9d23ab240caa932e524e8,
                ),
            ),
        ]
    }

    pub fn of_neighbour() -> Array<ProofNode> {
        array![
            ProofNode::Binary(
                (
                    0x4c165e339849181efbc832400a035f46682170fd11e1ec7b4a4ae89d21ab0b6,
                    0x2dca16f47795544637a40509a5a21055cf8693ce49e64fc2cce6dab5456d811,
                ),
            ),
            ProofNode::Binary(
                (
                    0x68669680eaefb3862922d5c4d84f17703e06023c1d91bd313bc850ca855da8b,
                    0x198f75333bd5e0a7607100fce33c459fdffdfcc8d749d0dfd4cbebd908dae96,
                ),
            ),
            ProofNode::Binary(
                (
                    0x1e9c28b1b9748f337a0af867d7a350f79f4752d1c3c905e86eb7231c76727aa,
                    0x44ac705d108b26f18d2de8079e1140ea64ec2c51331236a74c0209639a2e4a3,
                ),
            ),
            ProofNode::Binary(
                (
                    0x114508c767b88466b4cab9015204914daff17ed592c859d5548c200fc746db5,
                    0x56e1635904c362521347533aed02d8b873b3231812b1e23bb02903ec5d45946,
                ),
            ),
            ProofNode::Binary(
                (
                    0x519b07ba40bcfe0b2755f732f6f6880617b14367bdc46412ce14538b51bf72a,
                    0x77999af3fec19788ca0a71ddd791ccc00115059001bc1684861421cae9d1fc,
                ),
            ),
            ProofNode::Binary(
                (
                    0x575f74537af87f07b76a2d5873b108606bdd7313dc4abb58f2fe7391ff49cd7,
                    0x3996d66528e96f3332c089a1602e55dacbd1207120b663f601265f591298fa8,
                ),
            ),
            ProofNode::Binary(
                (
                    0x2e1be0a52e3b93f2e2753fb0c9353ce65df119634435417409465167353f2bc,
                    0x32193cc0da2d5530fb720ee496f4b1aa05393b45fe02f409bfb99b59bf238a4,
                ),
            ),
            ProofNode::Binary(
                (
                    0x6404427e9cf7bb7d9ea88aa8fd713c4c70006439d5b9c0c40287eb32dd4c42,
                    0x5bd9b7b72e0fea4e50a6b98a7e597f7bfcffdaa64c25bb3dac193ee8a6babf4,
                ),
            ),
            ProofNode::Edge(
                (
                    0x607e1d818f8ca78e5b191130cb3744ac91ac7b8f08d94967dbfa610bec5c4,
                    243,
                    0xbe31cb0dd13004d5855c69543d01db8bff0a95732d4c0457413a203024f309,
                ),
            ),
        ]
    }

    pub fn contract() -> Array<ProofNode> {
        array![
            ProofNode::Binary(
                (
                    0x20a085f01e925c5886b006e9facb992154c4f58acd56f9541c85f77dccd0b2c,
                    0x18791b3e19555c477ca2014da547f0c2f91f09fe7c6835955162e51de1fb952,
                ),
            ),
            ProofNode::Binary(
                (
                    0x9b14d325b5d64deca2d7e4971b96c4e4c0a5bfd4e65eaa12795cb695932564,
                    0x3cf0c0397653b6342ba994b6f7d02409893660e6bb90b33321ffd73be207a25,
                ),
            ),
            ProofNode::Edge(
                (
                    0x3,
                    2,
                    0xf5fb4135c4d64b8ee0998955f3497987f81efc4c97f2a79a1707cd163846bf,
                ),
            ),
            ProofNode::Binary(
                (
                    0x5a59c640cebad2fd909fdb93864a5b5fecf3a92f8b4353df3b62661bbe5e80,
                    0x7de46abd1e83d3b2398296ccf1631e0e70639cd73455e91534e723cccce76b,
                ),
            ),
            ProofNode::Edge(
                (
                    0x0,
                    2,
                    0x69f559a9e260ef3d9949ed0a4f75c1d795f70516842b72f2eca2c00ea8c4956,
                ),
            ),
            ProofNode::Binary(
                (
                    0x38c78becec13ba6c8e3ccfb2088d1024cc1d67b867e9739c971ad9b5a2ab16e,
                    0x2e28690a15a09086098da145bf439f09401374dc53bc77fa405a782f100b7a,
                ),
            ),
            ProofNode::Edge(
                (
                    0x7ff72e07ff72e07ff72e07ff72e07ff72e07ff72e07ff72e07ff72e07ff0,
                    242,
                    0x6f673cb276f8486d4d2b3c9c9de001afee266163f4bc9bbd04a9d61c50d6095,
                ),
            ),
            ProofNode::Binary(
                (
                    0x355af2b89026a921713778ad635ea2d2890927b48947eeaff31ab0ee7c026d6,
                    0x3e994f63177678cbe6dc439e00094971c0487fcf3fa2f2f12d75c23211f422d,
                ),
            ),
        ]
    }
}
