"""Made-up facts of runs, and a reader of pages that is strict about them."""

from html.parser import HTMLParser

import msgspec

from devnet.report.facts import (
    AccountFact,
    AccountsFact,
    BlockFact,
    ChainFact,
    CheckFact,
    IncidentFact,
    LayerFact,
    MarketFact,
    Milestone,
    ReportFact,
    StepFact,
    TimingFact,
)
from sequencer.model.units import ONE

GOOD, BAD, HEAD = 10, 16, 20
BTC, ETH = "BTC-USD-PERP", "ETH-USD-PERP"
SUMMARY: dict[str, object] = {
    "settlement_backend": "embedded",
    "cairo_executed": False,
    "blocks": HEAD,
    "orders": 3_115,
    "fills": 1_481,
    "head_root": "0x5a1",
    "settled_height": HEAD,
    "settled_root": "0x5a1",
    "root_at_settled_height": "0x5a1",
    "contract_balance_matches": True,
    "rollback": {"from": BAD, "to": GOOD, "commit_ms": 7.1, "total_ms": 2_204},
    "accounts_differing": 0,
    "root_matches": True,
    "laws": "ok",
    "client_reconciled": True,
}


def block(height: int, reorg: int = 0, price: int = 2_700 * ONE, **more: int) -> BlockFact:
    """Make a block with one market, whose price is in 1e-8."""
    market = MarketFact(price, price and price - ONE, height * ONE, ONE)
    place = (height, reorg, 1_723_161_240 + height)
    return BlockFact(*place, 0xB10C + height, 0x5007 + height, "OPEN", {ETH: market}, **more)


def incident_chain() -> ChainFact:
    """Make a chain that went back once."""
    live = [block(height) for height in range(HEAD + 1)]
    undone = [block(height, 1, 0, liquidations=7) for height in range(GOOD + 1, BAD + 1)]
    series = [(GOOD, 900 * ONE), (BAD, -5 * ONE)]
    account = AccountFact(0xACC, "trader", 900 * ONE, -5 * ONE, BAD, 900 * ONE, 11, 901 * ONE)
    account = msgspec.structs.replace(account, undone=series, live=[(GOOD, 900 * ONE)])
    return ChainFact(
        markets=[ETH],
        blocks=[*live, *undone],
        milestones=[
            Milestone(GOOD, 0, 0, 10, "checkpoint", "before"),
            Milestone(GOOD + 1, 1, 0, 11, "incident", f"ZERO_PRICE of {ETH}"),
            Milestone(BAD, 1, 0, 16, "halt", "HALTED: why"),
            Milestone(GOOD, 0, 1, 16, "reorg", "from block 16 back to block 10"),
            Milestone(GOOD + 1, 0, 1, 17, "mode", "CANCEL_ONLY: reorg 1"),
        ],
        accounts=AccountsFact(GOOD, BAD, HEAD, BAD - GOOD, BAD - GOOD, 441, [account]),
        incidents=[
            IncidentFact(
                number=1,
                kind="ROLLBACK",
                who="the run",
                reason="a wrong price",
                at_ms=1_723_161_273_400,
                epoch_before=0,
                epoch_after=1,
                height_before=BAD,
                height_after=GOOD,
                hash_before=0xBAD,
                hash_after=0x600D,
                root_before=0xB007,
                root_after=0x600D,
                plan_id="35ed",
                policy="KEEP",
                record_hash="e2b5",
                undone={"blocks": BAD - GOOD, "fills": 88},
            )
        ],
    )


def incident_report(**changes: object) -> ReportFact:
    """Make the report of a run with every part."""
    report = ReportFact(
        summary=SUMMARY,
        incident="zero-price",
        is_manual=False,
        problems=(),
        chain=incident_chain(),
        contract="0x1b394d4a",
        layers=[
            LayerFact("posted", 4, 0, 0x5007, 0x5007),
            LayerFact("posted", 5, BAD, 0xB007, 0xB007, is_orphaned=True),
            LayerFact("held", 6, -1, 0, 0, plan=0x35ED),
            LayerFact("reverted", 7, GOOD, 0x5011, 0x5011, from_height=BAD),
            LayerFact("posted", 8, HEAD, 0x501B, 0x501B),
            LayerFact("final", 9, HEAD, 0x501B, 0x501B),
        ],
        timings=[TimingFact("command answered", "and so on", 3_936, 229_100, 400, 548_300, 9)],
        steps=[StepFact("commit", "the one batch", 7_143)],
        checks=[CheckFact("perpchain verify --full chain", "Open it:", "head is block 20")],
    )
    return msgspec.structs.replace(report, **changes)


class Strict(HTMLParser):
    """Reads a page; `problems` are what is not well formed, or would be loaded from elsewhere."""

    _VOID = frozenset({"meta"})
    _LOADING = frozenset({"src", "href", "xlink:href", "srcset", "data", "action", "poster"})
    _LOADERS = frozenset({"script", "link", "img", "iframe", "object", "embed", "base", "use"})

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.problems: list[str] = []
        self.texts: list[str] = []
        self.tags: list[str] = []
        self._open: list[str] = []
        self.feed(page)
        self.close()
        self.problems += [f"{tag} is never closed" for tag in self._open]

    @property
    def text(self) -> str:
        """What a reader sees, and the style sheet."""
        return " ".join(" ".join(self.texts).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._look(tag, attrs)
        if tag not in self._VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._look(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        if not self._open or self._open.pop() != tag:
            self.problems.append(f"{tag} is closed out of turn")

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def _look(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        names = [name for name, _ in attributes]
        if tag in self._LOADERS or self._LOADING & {*names}:
            self.problems.append(f"{tag} loads something")
        if any(name.startswith("on") or value is None for name, value in attributes):
            self.problems.append(f"{tag} has an attribute of another kind")
        if len({*names}) != len(names):
            self.problems.append(f"{tag} has an attribute twice")
