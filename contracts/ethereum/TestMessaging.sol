// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// A stand-in for Starknet's messaging contract, for tests without one: it numbers messages, takes a
/// fee for each and hashes it as Starknet does. Nobody delivers them from here.
contract TestMessaging {
    uint256 public constant FEE_MAX = 1 ether;

    uint256 public nextNonce;

    event LogMessageToL2(
        address indexed fromAddress,
        uint256 indexed toAddress,
        uint256 indexed selector,
        uint256[] payload,
        uint256 nonce,
        uint256 fee
    );

    function sendMessageToL2(uint256 toAddress, uint256 selector, uint256[] calldata payload)
        external
        payable
        returns (bytes32 messageHash, uint256 nonce)
    {
        require(msg.value > 0, "FEE_ZERO");
        require(msg.value <= FEE_MAX, "FEE_TOO_LARGE");
        nonce = nextNonce++;
        emit LogMessageToL2(msg.sender, toAddress, selector, payload, nonce, msg.value);
        uint256 sender = uint256(uint160(msg.sender));
        messageHash = keccak256(
            abi.encodePacked(sender, toAddress, nonce, selector, payload.length, payload)
        );
    }
}
