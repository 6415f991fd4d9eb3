"""A network's files fit together, name who they must, keep keys private, and are written once."""

from __future__ import annotations

import json
import stat
import tomllib
from pathlib import Path

import pytest
from click.testing import Result
from eth.vm.forks.shanghai.blocks import ShanghaiBlockHeader
from eth_keys.datatypes import PrivateKey
from typer.testing import CliRunner

from coordinator.cli import cli
from fl_core.errors import InputError
from fl_core.secret import Secret
from ledger.light.header import BFT_MIX_HASH
from ledger.light.qbft import ExtraData
from ledger.network.files import NetworkPlan, write_network
from ledger.network.genesis import genesis_document, genesis_hash
from ledger.network.hosts import new_key, public_key_of, read_accounts, read_hosts

ADDRESSES = ["10.0.0.1", "10.0.0.2", "10.0.0.2:30304", "[fd00::1]:30303"]
ACCOUNT = "0x" + "4f" * 20


class Counting:
    """Random bytes that are easy to tell apart; the first are no key."""

    def __init__(self) -> None:
        self.taken = 0

    def secret(self, size: int) -> Secret:
        self.taken += 1
        return Secret(bytes(size) if self.taken == 1 else bytes([self.taken]) * size)


@pytest.fixture
def plan(tmp_path: Path) -> NetworkPlan:
    return NetworkPlan(
        folder=tmp_path / "net",
        hosts=read_hosts(ADDRESSES, Counting()),
        chain_id=424242,
        period_s=3,
        accounts=read_accounts([ACCOUNT, ACCOUNT[2:]]),
    )


def test_hosts_have_addresses_ports_and_keys(plan: NetworkPlan) -> None:
    assert [(host.address, host.port, host.rpc_port) for host in plan.hosts] == [
        ("10.0.0.1", 30303, 8545), ("10.0.0.2", 30303, 8545), ("10.0.0.2", 30304, 8546), ("fd00::1", 30303, 8545)
    ]  # fmt: skip
    for host in plan.hosts:
        assert host.key is not None
        public = PrivateKey(host.key.reveal()).public_key
        assert host.public_key == public.to_bytes()
        assert host.validator == public.to_canonical_address()
    assert plan.hosts[3].enode == f"enode://{plan.hosts[3].public_key.hex()}@[fd00::1]:30303"


def test_a_member_that_made_its_own_key_keeps_it(plan: NetworkPlan, tmp_path: Path) -> None:
    public = public_key_of(new_key(Counting()))
    (host,) = read_hosts([f"10.0.0.9=0x{public.hex()}"], Counting())
    assert (host.key, host.public_key) == (None, public)
    own = NetworkPlan(folder=tmp_path / "own", hosts=(host,), chain_id=1, period_s=1)
    write_network(own)
    assert not (own.folder_of(host) / "key").exists()


BAD_HOSTS = {
    "a name": ["node.example"],
    "nothing": [""],
    "an address with five numbers": ["1.2.3.4.5"],
    "a number beyond 255": ["1.2.3.256"],
    "port 0": ["1.2.3.4:0"],
    "port 65536": ["1.2.3.4:65536"],
    "a short public key": ["1.2.3.4=05"],
    "a public key beside the curve": ["1.2.3.4=" + "05" * 64],
    "the same place twice": ["1.2.3.4", "1.2.3.4:30303"],
    "the same key twice": ["1.2.3.4=" + (public_key_of(Secret(b"\x07" * 32)).hex()), "1.2.3.5=" + (public_key_of(Secret(b"\x07" * 32)).hex())],
    "none": [],
    "too many": [f"10.0.0.{n % 250}:{30303 + n}" for n in range(101)],
}  # fmt: skip


@pytest.mark.parametrize("hosts", BAD_HOSTS.values(), ids=BAD_HOSTS.keys())
def test_hosts_that_make_no_sense_are_refused(hosts: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        read_hosts(hosts, Counting())
    assert caught.value.fix


def test_accounts_that_make_no_sense_are_refused() -> None:
    with pytest.raises(InputError, match="no account"):
        read_accounts(["0x05"])


def test_block_0_names_the_validators_and_has_the_hash_that_another_implementation_gives(
    plan: NetworkPlan,
) -> None:
    document = plan.genesis
    extra = bytes.fromhex(str(document["extraData"])[2:])
    validators = tuple(sorted(host.validator for host in plan.hosts))
    assert ExtraData.decode(extra) == ExtraData(validators=validators)
    header = ShanghaiBlockHeader(
        difficulty=1, block_number=0, gas_limit=100_000_000, timestamp=0, coinbase=bytes(20), extra_data=extra,
        mix_hash=BFT_MIX_HASH, nonce=bytes(8), base_fee_per_gas=0,
    )  # fmt: skip
    assert genesis_hash(document) == header.hash
    other = genesis_document(validators[1:], chain_id=424242, period_s=3)
    assert genesis_hash(other) != genesis_hash(document)
    assert document["config"] == {
        "chainId": 424242, "berlinBlock": 0, "londonBlock": 0, "shanghaiTime": 0, "zeroBaseFee": True,
        "qbft": {"blockperiodseconds": 3, "epochlength": 30000, "requesttimeoutseconds": 6},
    }  # fmt: skip


def test_the_files_of_all_hosts_fit_together(plan: NetworkPlan) -> None:
    write_network(plan)
    genesis = (plan.folder / "genesis.json").read_bytes()
    enodes = [host.enode for host in plan.hosts]
    for host in plan.hosts:
        folder = plan.folder_of(host)
        assert (folder / "genesis.json").read_bytes() == genesis
        assert json.loads((folder / "static-nodes.json").read_text()) == [
            e for e in enodes if e != host.enode
        ]
        permissions = tomllib.loads((folder / "permissions.toml").read_text())
        assert permissions == {"nodes-allowlist": enodes, "accounts-allowlist": [ACCOUNT]}
        config = tomllib.loads((folder / "config.toml").read_text())
        assert (config["p2p-host"], config["p2p-port"], config["rpc-http-port"]) == (
            host.address, host.port, host.rpc_port)  # fmt: skip
        assert config["rpc-http-host"] == "127.0.0.1"
        assert config["min-gas-price"] == 0
        assert config["permissions-accounts-config-file-enabled"] is True
        named = {Path(value).name for key, value in config.items() if key.endswith(("-file", "-path"))}
        present = {path.name for path in folder.iterdir()}
        assert named | {"compose.yaml", "config.toml"} == present
        compose = (folder / "compose.yaml").read_text()
        assert "--config-file=/network/config.toml" in compose
        assert '".:/network"' in compose
    described = json.loads((plan.folder / "network.json").read_text())
    assert described["genesis_hash"] == genesis_hash(plan.genesis).hex()
    assert [item["enode"] for item in described["validators"]] == enodes


def test_keys_are_readable_by_their_owner_only_and_nowhere_else(plan: NetworkPlan) -> None:
    write_network(plan)
    keys = {host.key.reveal().hex() for host in plan.hosts if host.key is not None}
    assert len(keys) == 4
    for path in plan.folder.rglob("*"):
        mode = stat.S_IMODE(path.stat().st_mode)
        if path.is_dir():
            assert mode == 0o700
        elif path.name == "key":
            assert mode == 0o600
            assert path.read_text() in keys
        else:
            assert not any(key in path.read_text() for key in keys)
    assert "Secret" in repr(plan)
    assert not any(key in repr(plan) for key in keys)


def test_without_accounts_everybody_may_send(tmp_path: Path) -> None:
    plan = NetworkPlan(
        folder=tmp_path / "net", hosts=read_hosts(["10.0.0.1"], Counting()), chain_id=1, period_s=1
    )
    write_network(plan)
    folder = plan.folder_of(plan.hosts[0])
    assert "accounts-allowlist" not in tomllib.loads((folder / "permissions.toml").read_text())
    assert (
        tomllib.loads((folder / "config.toml").read_text())["permissions-accounts-config-file-enabled"]
        is False
    )


def test_nothing_is_written_over(plan: NetworkPlan) -> None:
    write_network(plan)
    before = {path: path.read_bytes() for path in plan.folder.rglob("*") if path.is_file()}
    with pytest.raises(InputError, match="not empty"):
        write_network(plan)
    assert {path: path.read_bytes() for path in plan.folder.rglob("*") if path.is_file()} == before


# ---------------------------------------------------------------------- the commands


def suture(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["ledger", *map(str, arguments)], prog_name="suture")


def test_the_command_writes_a_network(tmp_path: Path) -> None:
    hosts = [option for address in ADDRESSES for option in ("--host", address)]
    result = suture("network", tmp_path / "net", *hosts, "--chain-id", 77, "--account", ACCOUNT, "--json")
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert (document["chain_id"], document["written"], len(document["validators"])) == (77, True, 4)
    assert all((tmp_path / "net" / name).is_file() for name in document["files"])


def test_a_dry_run_writes_nothing(tmp_path: Path) -> None:
    result = suture("network", tmp_path / "net", "--host", "10.0.0.1", "--dry-run")
    assert result.exit_code == 0
    assert "would write 8 files" in result.stdout
    assert "fewer than 4 validators" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_command_refuses_a_folder_that_holds_something(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("keep me")
    for arguments in (
        (tmp_path, "--host", "10.0.0.1"),
        (tmp_path / "mine", "--host", "10.0.0.1", "--dry-run"),
    ):
        result = suture("network", *arguments)
        assert isinstance(result.exception, InputError)
        assert "not empty" in result.exception.message
    assert (tmp_path / "mine").read_text() == "keep me"


def test_a_member_makes_its_own_key(tmp_path: Path) -> None:
    result = suture("node-key", tmp_path / "key", "--json")
    document = json.loads(result.stdout)
    key = (tmp_path / "key").read_text()
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600
    assert PrivateKey(bytes.fromhex(key)).public_key.to_bytes().hex() == document["public_key"]
    assert key not in result.output
    again = suture("node-key", tmp_path / "key")
    assert isinstance(again.exception, InputError)
    assert (tmp_path / "key").read_text() == key
    net = suture("network", tmp_path / "net", "--host", f"10.0.0.1={document['public_key']}")
    assert f"validator 0x{document['address']}" in net.stdout
    assert "puts its own node key there" in net.stdout
