"""``suture-audit light`` as an auditor types it: presence, absence, failures, and options that make no sense."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from fl_core.errors import InputError
from ledger.address import LedgerAddress, write_address
from ledger.audit.cli import app
from ledger.audit.light_options import pin_validators
from ledger.light.verify import Pins
from ledger.typed_data import model_id
from tests.simulators.qbft_chain import Validators
from tests.simulators.rpc_server import Answer, send, serving
from tests.unit.ledger.embedded_world import CHAIN_ID, account
from tests.unit.ledger.ledger_world import NODES, LedgerWorld, ledger_on, word
from tests.unit.ledger.light.test_verify import checkpoint

pytestmark = pytest.mark.network
MODEL = b"a model file"


def face(world: LedgerWorld) -> Answer:
    """Show an embedded chain over HTTP."""

    def answer(handler, request) -> None:  # type: ignore[no-untyped-def]
        said = world.chain.request(request["method"], request["params"])
        send(handler, json.dumps({"jsonrpc": "2.0", "id": request["id"], **said}).encode())

    return answer


@pytest.fixture(scope="module", params=NODES)
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[LedgerWorld, str, Path]]:  # fmt: skip
    """A world in which a model file was registered as a root, the URL of its node, and the file."""
    folder = tmp_path_factory.mktemp("light")
    with ExitStack() as stack:
        world = stack.enter_context(ledger_on(request.param, folder))
        world.begin()
        file = folder / "model.safetensors"
        file.write_bytes(MODEL)
        world.writer.register_root(world.run, hashlib.sha256(MODEL).digest(), word(1), intent="file")
        url = world.node.url if world.node else stack.enter_context(serving(face(world)))
        yield world, url, file


def light(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["light", *map(str, arguments)], prog_name="suture-audit")


def asked(served: tuple[LedgerWorld, str, Path]) -> list[object]:
    world, url, _ = served
    return ["--rpc", url, "--chain-id", CHAIN_ID, "--contract", "0x" + world.address.hex()]


def test_a_model_that_is_there(served: tuple[LedgerWorld, str, Path]) -> None:
    _world, _, file = served
    result = light(file, *asked(served), "--trust-node")
    assert result.exit_code == 0, result.output
    assert " 9  PASS     vouched      nothing but one node's word" in result.stdout
    assert "12  PASS     record" in result.stdout
    assert "The model is on the ledger in block" in result.stdout
    assert "a registered root" in result.stdout


def test_as_json(served: tuple[LedgerWorld, str, Path]) -> None:
    world, _, file = served
    result = light(file, *asked(served), "--trust-node", "--json")
    document = json.loads(result.stdout)
    assert (document["format"], document["passed"], document["known"]) == ("suture-light-v1", True, True)
    assert document["block"]["hash"] == world.connection.head().hash.hex()
    assert document["models"][0]["run"] == world.run.hex()
    assert document["models"][0]["parent"] is None
    assert [check["number"] for check in document["checks"]] == list(range(1, 14))


def test_a_model_that_is_not_there(served: tuple[LedgerWorld, str, Path], tmp_path: Path) -> None:
    world, _, _ = served
    other = tmp_path / "other.safetensors"
    other.write_bytes(b"another file")
    result = light(other, *asked(served), "--trust-node", "--run", "0x" + world.run.hex())
    assert result.exit_code == 4
    assert "13  PASS     absence" in result.stdout
    assert "The model is not on the ledger in block" in result.stdout
    result = light("0x" + "05" * 32, *asked(served), "--trust-node", "--json")
    assert result.exit_code == 4
    assert json.loads(result.stdout)["known"] is False
    result = light(other, *asked(served), "--trust-node")
    assert result.exit_code == 1
    assert "FAILED: check 12 (record)." in result.stdout
    assert "Give --run" in result.stderr


def test_one_node_is_not_enough_and_two_are(served: tuple[LedgerWorld, str, Path]) -> None:
    _world, url, file = served
    result = light(file, *asked(served), "--json")
    assert result.exit_code == 1
    document = json.loads(result.stdout)
    assert (document["passed"], document["known"]) == (False, None)
    assert [c["number"] for c in document["checks"] if c["verdict"] == "fail"] == [9]
    assert "--trust-node" in document["fix"]
    result = light(file, *asked(served), "--rpc", url.replace("127.0.0.1", "localhost"))
    assert result.exit_code == 0
    assert "2 nodes" in result.stdout


def test_a_node_that_is_away_is_named_and_may_be_allowed_for(served: tuple[LedgerWorld, str, Path]) -> None:
    _world, _, file = served
    away = ["--rpc", "http://user:secret@127.0.0.1:1"]
    result = light(file, *asked(served), *away)
    assert result.exit_code == 1
    assert "node 2 (http://127.0.0.1:1) is away" in result.stdout
    assert "secret" not in result.output
    result = light(file, *asked(served), *away, "--at-least", 1, "--trust-node")
    assert result.exit_code == 0


def test_a_ledger_file_says_which_ledger_and_pins_its_code(
    served: tuple[LedgerWorld, str, Path], tmp_path: Path
) -> None:
    world, url, file = served
    path = tmp_path / "ledger.toml"
    write_address(path, LedgerAddress(chain=url, chain_id=CHAIN_ID, contract=world.address.hex()))
    assert light(file, "--ledger", path, "--trust-node").exit_code == 0
    wrong = LedgerAddress(chain=url, chain_id=CHAIN_ID, contract=world.address.hex(), code="05" * 32)
    write_address(path, wrong)
    result = light(file, "--ledger", path, "--trust-node")
    assert result.exit_code == 1
    assert "11  FAIL     code" in result.stdout


def test_checkpoints_of_witnesses_vouch(served: tuple[LedgerWorld, str, Path], tmp_path: Path) -> None:
    world, _, file = served
    head = world.connection.head().number
    path = tmp_path / "checkpoints.txt"
    lines = ["# from the members", *(checkpoint(world, n, head).encode().hex() for n in range(3)), ""]
    path.write_text("\n".join(lines))
    keys = ",".join("0x" + account(100 + n).address.hex() for n in range(4))
    result = light(file, *asked(served), "--witness", keys, "--checkpoints", path)
    assert result.exit_code == 0, result.output
    assert "3 of 4 witnesses vouch for it" in result.stdout
    result = light(file, *asked(served), "--witness", keys, "--checkpoints", path, "--witnesses-needed", 4)
    assert result.exit_code == 1
    path.write_text("05" * 20)
    result = light(file, *asked(served), "--witness", keys, "--checkpoints", path)
    assert (result.exit_code, "Line 1 of" in result.stderr) == (3, True)


def test_a_block_that_was_seen_before_vouches(served: tuple[LedgerWorld, str, Path]) -> None:
    world, _, file = served
    head = world.connection.head()
    assert light(file, *asked(served), "--seen", f"{head.number}:0x{head.hash.hex()}").exit_code == 0
    result = light(file, *asked(served), "--seen", f"{head.number}:0x{'05' * 32}")
    assert result.exit_code == 1
    assert " 7  FAIL     history" in result.stdout


def test_validators_come_from_a_genesis_file(served: tuple[LedgerWorld, str, Path], tmp_path: Path) -> None:
    """This chain has no seals, so the check must fail once validators are pinned."""
    _world, _, file = served
    genesis = tmp_path / "genesis.json"
    genesis.write_text(json.dumps({"extraData": Validators(4).block(number=0)["extraData"]}))
    result = light(file, *asked(served), "--genesis", genesis)
    assert result.exit_code == 1
    assert " 5  FAIL     seals" in result.stdout
    for content in ("{}", "[]", "no json", '{"extraData": "0x05"}'):
        genesis.write_text(content)
        result = light(file, *asked(served), "--genesis", genesis)
        assert result.exit_code == 3
        assert "no genesis file of a QBFT network" in result.stderr


def test_the_length_of_an_epoch_comes_from_the_genesis_file_or_from_the_option(tmp_path: Path) -> None:
    extra, file = Validators(4).block(number=0)["extraData"], tmp_path / "genesis.json"
    nothing = Pins(chain_id=1, contract=bytes(20))
    for rules, typed, length in (
        ({}, None, 30_000),
        ({"epochlength": 7}, None, 7),
        ({"epochlength": 7}, 9, 9),
    ):
        file.write_text(json.dumps({"config": {"qbft": rules}, "extraData": extra}))
        pins = pin_validators(nothing, [], file, typed)
        assert (pins.validators, pins.epoch_length) == (Validators(4).addresses, length)
    for wrong in ("7", 0, True, None):
        file.write_text(json.dumps({"config": {"qbft": {"epochlength": wrong}}, "extraData": extra}))
        with pytest.raises(InputError, match="epochlength"):
            pin_validators(nothing, [], file, None)
    file.write_text(json.dumps({"config": {"qbft": []}, "extraData": extra}))
    with pytest.raises(InputError, match="config is no object"):
        pin_validators(nothing, [], file, None)


def test_validators_in_a_contract_are_refused_with_what_to_do(tmp_path: Path) -> None:
    extra, file = Validators(4).block(number=0)["extraData"], tmp_path / "genesis.json"
    rules = {"validatorcontractaddress": "0x" + "11" * 20}
    file.write_text(json.dumps({"config": {"qbft": rules}, "extraData": extra}))
    with pytest.raises(InputError, match="keeps its validators in a contract") as caught:
        pin_validators(Pins(chain_id=1, contract=bytes(20)), [], file, None)
    assert "--rpc" in caught.value.fix


def test_the_newest_model_of_a_run_is_found_by_its_id(served: tuple[LedgerWorld, str, Path]) -> None:
    world, _, _ = served
    assert light("0x" + world.root.hex(), *asked(served), "--trust-node").exit_code == 0
    later = model_id(world.run, 1, word(5))
    assert light("0x" + later.hex(), *asked(served), "--trust-node").exit_code == 4


USAGE: dict[str, tuple[list[str], str]] = {
    "no ledger": (["m", "--rpc", "http://h"], "Say which ledger"),
    "no node": (["m", "--chain-id", "1", "--contract", "0x" + "11" * 20], "at least one node"),
    "a short contract": (["m", "--rpc", "http://h", "--chain-id", "1", "--contract", "0x11"], "40 hexadecimal"),
    "a short genesis hash": (
        ["m", "--rpc", "http://h", "--chain-id", "1", "--contract", "0x" + "11" * 20, "--genesis-hash", "0x1"],
        "64 hexadecimal",
    ),
    "more nodes than there are": (
        ["m", "--rpc", "http://h", "--chain-id", "1", "--contract", "0x" + "11" * 20, "--at-least", "2"],
        "1 are named",
    ),
    "witnesses without checkpoints": (
        ["m", "--rpc", "http://h", "--chain-id", "1", "--contract", "0x" + "11" * 20, "--witness", "0x" + "11" * 20],
        "go together",
    ),
    "a seen block without height": (
        ["m", "--rpc", "http://h", "--chain-id", "1", "--contract", "0x" + "11" * 20, "--seen", "0x" + "11" * 32],
        "height, a colon",
    ),
    "a model id that is too short": (
        ["0x05", "--rpc", "http://h", "--chain-id", "1", "--contract", "0x" + "11" * 20], "64 hexadecimal"),
    "a ledger twice": (["m", "--ledger", "x", "--chain-id", "1"], "leave --chain-id"),
}  # fmt: skip


@pytest.mark.parametrize(("arguments", "words"), USAGE.values(), ids=USAGE.keys())
def test_options_that_make_no_sense_are_wrong_usage(arguments: list[str], words: str) -> None:
    result = light(*arguments)
    assert result.exit_code == 2
    assert words in " ".join(result.stderr.replace("│", " ").split())


def test_files_and_nodes_that_are_not_there(tmp_path: Path) -> None:
    ledger = ["--chain-id", 1, "--contract", "0x" + "11" * 20]
    result = light(tmp_path / "none", "--rpc", "http://127.0.0.1:1", *ledger)
    assert (result.exit_code, "cannot be read" in result.stderr) == (3, True)
    result = light("0x" + "05" * 32, "--rpc", "http://127.0.0.1:1", *ledger, "--timeout", 0.5)
    assert (result.exit_code, "No node can be asked" in result.stderr) == (3, True)
    result = light("0x" + "05" * 32, "--ledger", tmp_path / "none.toml")
    assert (result.exit_code, "There is no ledger file" in result.stderr) == (3, True)
