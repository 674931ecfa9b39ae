"""A node's file of options: read whole, or refused with the place that is wrong."""

import re
from pathlib import Path

import msgspec
import pytest

from sequencer.cli.node_file import NodeFile, PluginSection, read_node_file
from sequencer.model.api_limits import NODE_FILE_BYTES_MAX, ServerLimits
from sequencer.model.refusals import Reason, Refused
from tests.strategies import refused

DOCUMENT = Path(__file__).parents[3] / "docs" / "node.md"


def write(folder: Path, text: str) -> Path:
    path = folder / "node.toml"
    path.write_text(text)
    return path


def test_an_empty_file_is_as_good_as_none(tmp_path: Path) -> None:
    stated = read_node_file(write(tmp_path, ""))
    assert stated == NodeFile()
    assert msgspec.structs.asdict(stated.limits) == msgspec.structs.asdict(ServerLimits())


def test_the_documented_file_names_every_option(tmp_path: Path) -> None:
    example = re.search(r"```toml\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    assert example is not None
    path = write(tmp_path, example[1])
    stated = read_node_file(path)
    assert stated.data_dir == tmp_path / "chain"
    assert stated.operator_key == tmp_path / "operator.key"
    for section in (stated, stated.api, stated.admin, stated.settlement):
        for name in section.__struct_fields__:
            assert re.search(rf"^#? ?\[{{0,2}}{name}\b", example[1], re.MULTILINE), name


def test_paths_count_from_the_file(tmp_path: Path) -> None:
    text = 'data_dir = "a/b"\ngenesis = "/c.json"\n[settlement]\nfile = "../s.json"\n'
    stated = read_node_file(write(tmp_path, text))
    assert stated.data_dir == tmp_path / "a" / "b"
    assert stated.genesis == Path("/c.json")
    assert stated.settlement.file == tmp_path / ".." / "s.json"
    assert stated.witness is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("datadir = 'x'", "`datadir`"),
        ("[api]\nprot = 5", "`prot` - at `$.api`"),
        ("[api]\nport = '5'", "`$.api.port`"),
        ("[api]\nport = 5.0", "`$.api.port`"),
        ("[api]\nport = 65536", "api.port is 65536"),
        ("[admin]\nport = -2", "admin.port is -2"),
        ("block_interval_ms = -1", "block_interval_ms is -1"),
        ("block_interval_ms = 60001", "block_interval_ms is 60001"),
        ("verify_root = 1", "`$.verify_root`"),
        ("data_dir = 5", "`$.data_dir`"),
        ("data_dir = ''", "`$.data_dir`"),
        ("key = '0x5'", "`key`"),
        ("[limits]\nconnections_max = 0", "limits.connections_max is 0"),
        ("[limits]\nconnection_max = 5", "`connection_max` - at `$.limits`"),
        ("[settlement]\nurl = 'http://localhost'", "`url` - at `$.settlement`"),
        ("[[plugins]]\nname = 'a'", "`use`"),
        ("[[plugins]]\nuse = 5", "`$.plugins[0].use`"),
        ("[[plugins]]\nuse = 'a:B'\ndryrun = true", "`dryrun` - at `$.plugins[0]`"),
        ("[[plugins]]\nuse = 'a:B'\n[plugins.options]\npath = 5", "`$.plugins[0].options[...]`"),
        ("[plugins]\nuse = 'a:B'", "`$.plugins`"),
        ("data_dir", "node.toml"),
        ("[api]\n[api]", "node.toml"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(Refused, match=f"PARAMETER_INVALID: .*{re.escape(words)}"):
        read_node_file(write(tmp_path, text))


def test_plugins_stand_one_below_the_other(tmp_path: Path) -> None:
    text = """
    [[plugins]]
    use = "history"
    [[plugins]]
    use = "watch:Watch"
    name = "second"
    dry_run = true
    [plugins.options]
    path = "out.sqlite"
    """
    assert read_node_file(write(tmp_path, text)).plugins == [
        PluginSection("history"),
        PluginSection("watch:Watch", "second", dry_run=True, options={"path": "out.sqlite"}),
    ]


def test_what_is_no_text_or_too_long_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "node.toml"
    path.write_bytes(b"\xff\xfe")
    with refused(Reason.PARAMETER_INVALID):
        read_node_file(path)
    path.write_bytes(b"#" * (NODE_FILE_BYTES_MAX + 1))
    with refused(Reason.FILE_UNREADABLE):
        read_node_file(path)
    with refused(Reason.FILE_UNREADABLE):
        read_node_file(tmp_path / "absent.toml")
