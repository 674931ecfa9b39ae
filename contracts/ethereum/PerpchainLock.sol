// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

interface Token {
    function transferFrom(address from, address to, uint256 amount) external returns (bool);
}

interface StarknetMessaging {
    function sendMessageToL2(uint256 toAddress, uint256 selector, uint256[] calldata payload)
        external
        payable
        returns (bytes32 messageHash, uint256 nonce);
}

/// Locks tokens on Ethereum and tells the settlement contract on Starknet to credit an account.
///
/// - A deposit that is taken here is within every bound of the settlement contract's own: it can
///   have to wait there while deposits are paused, but it is not refused for what it says.
/// - Tokens are locked before the message is sent, both in one transaction or neither.
/// - There is no way out: what is locked here is paid out on the settlement chain.
/// - The token is trusted: it moves what it says that it moves.
contract PerpchainLock {
    /// 2**251 - 257, the last address that a contract on Starknet can have.
    uint256 public constant ACCOUNT_MAX = 2 ** 251 - 257;
    /// In 1e-6 of the token: one thousand million.
    uint256 public constant AMOUNT_MAX = 10 ** 15;
    /// The selector of `deposit_from_l1`: the low 250 bits of keccak256("deposit_from_l1").
    uint256 public constant SELECTOR = uint256(keccak256("deposit_from_l1")) & (2 ** 250 - 1);

    Token public immutable token;
    StarknetMessaging public immutable messaging;
    address public immutable deployer;
    /// The settlement contract's address on Starknet, 0 until it is set.
    uint256 public settlement;
    /// All that was ever locked, in 1e-6 of the token.
    uint256 public locked;

    event SettlementSet(uint256 indexed settlement);
    /// `nonce` and `messageHash` are those of the message from Ethereum to Starknet.
    event Deposited(
        uint256 indexed nonce,
        uint256 indexed account,
        address payer,
        uint256 amount,
        uint256 fee,
        bytes32 messageHash
    );

    constructor(Token token_, StarknetMessaging messaging_) {
        require(address(token_) != address(0), "ADDRESS_ZERO");
        require(address(messaging_) != address(0), "ADDRESS_ZERO");
        token = token_;
        messaging = messaging_;
        deployer = msg.sender;
    }

    /// Say once where the settlement contract is: its constructor names this lock, so it comes later.
    function setSettlement(uint256 settlement_) external {
        require(msg.sender == deployer, "NOT_DEPLOYER");
        require(settlement == 0, "SETTLEMENT_SET");
        require(settlement_ != 0 && settlement_ <= ACCOUNT_MAX, "SETTLEMENT_INVALID");
        settlement = settlement_;
        emit SettlementSet(settlement_);
    }

    /// Lock an amount, in 1e-6 of the token, for an account of the appchain. The value sent along is
    /// the fee of the message.
    function deposit(uint256 amount, uint256 account)
        external
        payable
        returns (uint256 nonce, bytes32 messageHash)
    {
        require(settlement != 0, "SETTLEMENT_UNSET");
        require(account != 0 && account <= ACCOUNT_MAX, "ACCOUNT_INVALID");
        require(amount != 0 && amount <= AMOUNT_MAX, "AMOUNT_INVALID");
        locked += amount;
        require(token.transferFrom(msg.sender, address(this), amount), "TRANSFER_FAILED");
        uint256[] memory payload = new uint256[](2);
        payload[0] = account;
        payload[1] = amount;
        (messageHash, nonce) =
            messaging.sendMessageToL2{value: msg.value}(settlement, SELECTOR, payload);
        emit Deposited(nonce, account, msg.sender, amount, msg.value, messageHash);
    }
}
