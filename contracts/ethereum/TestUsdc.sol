// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// A token of six decimals for tests, with a faucet: anybody makes any amount of it for nothing.
contract TestUsdc {
    string public constant name = "USD Coin";
    string public constant symbol = "USDC";
    uint8 public constant decimals = 6;
    /// What the faucet gives at once, in 1e-6: one thousand million.
    uint256 public constant FAUCET_MAX = 10 ** 15;
    uint256 public constant SUPPLY_MAX = 2 ** 128 - 1;

    uint256 public totalSupply;
    mapping(address => uint256) public balanceOf;
    mapping(address => mapping(address => uint256)) public allowance;

    event Transfer(address indexed from, address indexed to, uint256 value);
    event Approval(address indexed owner, address indexed spender, uint256 value);

    function mint(address recipient, uint256 amount) external {
        require(recipient != address(0), "ADDRESS_ZERO");
        require(amount <= FAUCET_MAX, "AMOUNT_TOO_LARGE");
        require(totalSupply + amount <= SUPPLY_MAX, "SUPPLY_FULL");
        totalSupply += amount;
        balanceOf[recipient] += amount;
        emit Transfer(address(0), recipient, amount);
    }

    function approve(address spender, uint256 amount) external returns (bool) {
        require(spender != address(0), "ADDRESS_ZERO");
        allowance[msg.sender][spender] = amount;
        emit Approval(msg.sender, spender, amount);
        return true;
    }

    function transfer(address recipient, uint256 amount) external returns (bool) {
        move(msg.sender, recipient, amount);
        return true;
    }

    function transferFrom(address from, address recipient, uint256 amount) external returns (bool) {
        uint256 allowed = allowance[from][msg.sender];
        require(allowed >= amount, "ALLOWANCE_INSUFFICIENT");
        // An allowance without limit is not used up.
        if (allowed != type(uint256).max) allowance[from][msg.sender] = allowed - amount;
        move(from, recipient, amount);
        return true;
    }

    function move(address from, address recipient, uint256 amount) private {
        require(recipient != address(0), "ADDRESS_ZERO");
        require(balanceOf[from] >= amount, "BALANCE_INSUFFICIENT");
        balanceOf[from] -= amount;
        balanceOf[recipient] += amount;
        emit Transfer(from, recipient, amount);
    }
}
