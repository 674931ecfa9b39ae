"""The test dollar and the fee tokens: what moves, who may, and what is refused first."""

import random

import pytest

from contracts.fee_token import BALANCES, ETH_TOKEN, STRK_TOKEN, token_slots
from contracts.natives import NATIVES, USDC
from contracts.usdc import ALLOWANCE_UNBOUNDED, FAUCET_MAX, SUPPLY_MAX
from sequencer.starknet.felt import Felt, encode_short_string
from sequencer.starknet.names import selector, storage_address
from tests.unit.contracts.machine import MemoryMachine, refusal

ALICE, BOB, CAROL, MINTER = 0xA11CE, 0xB0B, 0xCA401, 0x1001
TOKEN = 0x70CE
HALF = 2**128


class Token:
    """One token, and calls of it with 256-bit amounts."""

    def __init__(self, machine: MemoryMachine, address: Felt) -> None:
        self.machine = machine
        self.address = address

    def send(self, caller: Felt, name: str, *felts: Felt) -> list[tuple[Felt, ...]]:
        *rest, amount = felts
        return self.machine.send(caller, self.address, name, *rest, amount % HALF, amount // HALF)

    def refused(self, caller: Felt, name: str, *felts: Felt) -> str:
        *rest, amount = felts
        halves = (amount % HALF, amount // HALF)
        return refusal(self.machine, caller, self.address, name, *rest, *halves)

    def number(self, name: str, *felts: Felt) -> int:
        low, high = self.machine.view(self.address, name, *felts)
        return high * HALF + low


def dollars() -> Token:
    machine = MemoryMachine(NATIVES)
    return Token(machine, machine.create(USDC.class_hash))


def stark(**balances: int) -> Token:
    machine = MemoryMachine(NATIVES)
    machine.classes[TOKEN] = STRK_TOKEN
    owners = {"alice": ALICE, "bob": BOB}
    begun = {owners[name]: balance for name, balance in balances.items()}
    for slot, felt in token_slots("StarkNet Token", "STRK", MINTER, begun).items():
        machine.write(TOKEN, slot, felt)
    return Token(machine, TOKEN)


def moved(source: Felt, target: Felt, amount: int) -> tuple[Felt, ...]:
    return (selector("Transfer"), source, target, amount % HALF, amount // HALF)


def allowed(owner: Felt, spender: Felt, amount: int) -> tuple[Felt, ...]:
    return (selector("Approval"), owner, spender, amount % HALF, amount // HALF)


def test_a_dollar_says_what_it_is() -> None:
    token = dollars()
    assert token.machine.view(token.address, "name") == [0, encode_short_string("USD Coin"), 8]
    assert token.machine.view(token.address, "symbol") == [0, encode_short_string("USDC"), 4]
    assert token.machine.view(token.address, "decimals") == [6]


def test_anybody_mints_dollars_up_to_a_limit() -> None:
    token = dollars()
    assert token.send(CAROL, "mint", ALICE, FAUCET_MAX) == [moved(0, ALICE, FAUCET_MAX)]
    assert token.number("balanceOf", ALICE) == token.number("totalSupply") == FAUCET_MAX
    assert token.refused(CAROL, "mint", 0, FAUCET_MAX + 1) == "ADDRESS_ZERO"
    assert token.refused(CAROL, "mint", ALICE, FAUCET_MAX + 1) == "AMOUNT_TOO_LARGE"
    assert token.refused(CAROL, "mint", ALICE, HALF) == "AMOUNT_TOO_LARGE"
    token.machine.write(token.address, storage_address("total_supply"), SUPPLY_MAX - 5)
    assert token.refused(CAROL, "mint", ALICE, 6) == "SUPPLY_FULL"
    token.send(CAROL, "mint", ALICE, 5)


def test_dollars_move_and_are_never_made_by_moving() -> None:
    token = dollars()
    token.send(CAROL, "mint", ALICE, 10)
    assert token.send(ALICE, "transfer", BOB, 4) == [moved(ALICE, BOB, 4)]
    assert token.send(BOB, "transfer", BOB, 4) == [moved(BOB, BOB, 4)]
    assert (token.number("balance_of", ALICE), token.number("balance_of", BOB)) == (6, 4)
    assert token.refused(ALICE, "transfer", 0, 7) == "ADDRESS_ZERO"
    assert token.refused(0, "transfer", ALICE, 0) == "ADDRESS_ZERO"
    assert token.refused(ALICE, "transfer", BOB, 7) == "BALANCE_INSUFFICIENT"
    assert token.refused(ALICE, "transfer", BOB, HALF) == "BALANCE_INSUFFICIENT"


def test_an_allowance_is_used_up_unless_it_has_no_bound() -> None:
    token = dollars()
    token.send(CAROL, "mint", ALICE, 10)
    assert token.refused(BOB, "transfer_from", ALICE, 0, 11) == "ADDRESS_ZERO"
    assert token.refused(BOB, "transfer_from", ALICE, CAROL, 11) == "BALANCE_INSUFFICIENT"
    assert token.refused(BOB, "transferFrom", ALICE, CAROL, 10) == "ALLOWANCE_INSUFFICIENT"
    assert token.send(ALICE, "approve", BOB, 5) == [allowed(ALICE, BOB, 5)]
    assert token.send(BOB, "transfer_from", ALICE, CAROL, 3) == [moved(ALICE, CAROL, 3)]
    assert token.number("allowance", ALICE, BOB) == 2
    token.send(ALICE, "approve", BOB, ALLOWANCE_UNBOUNDED)
    token.send(BOB, "transfer_from", ALICE, CAROL, 3)
    assert token.number("allowance", ALICE, BOB) == ALLOWANCE_UNBOUNDED
    assert token.refused(ALICE, "approve", 0, 1) == "ADDRESS_ZERO"
    assert token.refused(0, "approve", BOB, 1) == "ADDRESS_ZERO"


@pytest.mark.parametrize("seed", range(3))
def test_the_supply_is_the_sum_of_all_balances(seed: int) -> None:
    choose = random.Random(seed)
    token, people = dollars(), (ALICE, BOB, CAROL)
    for _ in range(200):
        caller, other, third = (choose.choice(people) for _ in range(3))
        amount = choose.randrange(30)
        name, felts = choose.choice(
            (
                ("mint", (other, amount)),
                ("transfer", (other, amount)),
                ("approve", (other, amount)),
                ("transfer_from", (other, third, amount)),
            )
        )
        token.refused(caller, name, *felts)
    balances = sum(token.number("balance_of", person) for person in people)
    assert balances == token.number("total_supply") > 0


def test_a_fee_token_begins_with_what_its_chain_gave() -> None:
    token = stark(alice=10**21, bob=2**127)
    machine = token.machine
    assert machine.view(TOKEN, "name") == [0, encode_short_string("StarkNet Token"), 14]
    assert machine.view(TOKEN, "symbol") == [0, encode_short_string("STRK"), 4]
    assert machine.view(TOKEN, "decimals") == [18]
    assert token.number("balance_of", ALICE) == machine.read(TOKEN, BALANCES.slot(ALICE)) == 10**21
    assert token.number("totalSupply") == 10**21 + 2**127
    assert ETH_TOKEN.external.keys() == STRK_TOKEN.external.keys()


def test_fee_tokens_refuse_in_their_own_words() -> None:
    token = stark(alice=10)
    assert token.refused(0, "transfer", 0, 11) == "ERC20: transfer from 0"
    assert token.refused(ALICE, "transfer", 0, 11) == "ERC20: transfer to 0"
    assert token.refused(ALICE, "transfer", BOB, 11) == "ERC20: insufficient balance"
    assert token.refused(BOB, "transferFrom", ALICE, CAROL, 1) == "ERC20: insufficient allowance"
    assert token.refused(0, "approve", 0, 1) == "ERC20: approve from 0"
    assert token.refused(ALICE, "approve", 0, 1) == "ERC20: approve to 0"
    assert token.refused(ALICE, "permissioned_mint", ALICE, 1) == "ONLY_MINTER"
    assert token.refused(MINTER, "permissioned_mint", 0, 1) == "ERC20: mint to 0"
    assert token.refused(ALICE, "decrease_allowance", BOB, 1) == "u256_sub Overflow"
    assert token.refused(MINTER, "permissioned_mint", BOB, 2**256 - 5) == "u256_add Overflow"


def test_fee_tokens_tell_what_is_left_of_an_allowance() -> None:
    token = stark(alice=10)
    assert token.send(ALICE, "increase_allowance", BOB, 6) == [allowed(ALICE, BOB, 6)]
    told = token.send(BOB, "transfer_from", ALICE, CAROL, 4)
    assert told == [allowed(ALICE, BOB, 2), moved(ALICE, CAROL, 4)]
    token.send(ALICE, "approve", BOB, ALLOWANCE_UNBOUNDED)
    assert token.send(BOB, "transfer_from", ALICE, CAROL, 4) == [moved(ALICE, CAROL, 4)]
    assert token.send(MINTER, "permissioned_mint", BOB, 9) == [moved(0, BOB, 9)]
    assert token.number("total_supply") == 19
