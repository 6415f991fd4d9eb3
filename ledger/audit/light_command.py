"""``suture-audit light``: is this model on the ledger? Asked of nodes that nobody trusts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ledger.audit.light_asked import Asked
from suture_fl.report import starting

EPILOG = (
    "Examples: suture-audit light model.safetensors --rpc http://127.0.0.1:8545 --rpc https://node.example --ledger ledger.toml"
    "   |   suture-audit light 0x5f… --rpc http://127.0.0.1:8545 --chain-id 20260 --contract 0x32… --trust-node --json"
)


def light(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="A model file, or a model id: 0x and 64 digits.")
    ],
    rpc: Annotated[
        list[str] | None,
        typer.Option("--rpc", metavar="URL", help="A JSON-RPC node; name several.", show_default=False),
    ] = None,
    ledger: Annotated[
        Path | None,
        typer.Option(
            "--ledger", metavar="FILE", help="The ledger.toml: chain, contract, code.", show_default=False
        ),
    ] = None,
    chain_id: Annotated[
        int | None, typer.Option("--chain-id", min=1, help="The chain.", show_default=False)
    ] = None,
    contract: Annotated[
        str | None,
        typer.Option("--contract", metavar="0x…", help="The ledger's contract.", show_default=False),
    ] = None,
    run: Annotated[
        str | None,
        typer.Option(
            "--run", metavar="0x…", help="Run to search, so that absence can be proven.", show_default=False
        ),
    ] = None,
    at_least: Annotated[
        int | None,
        typer.Option(
            "--at-least", min=1, help="Nodes that must show the block. All by default.", show_default=False
        ),
    ] = None,
    validators: Annotated[
        list[str] | None,
        typer.Option(
            "--validators",
            metavar="0x…",
            help="Validators of a QBFT chain, now or earlier.",
            show_default=False,
        ),
    ] = None,
    genesis: Annotated[
        Path | None,
        typer.Option("--genesis", metavar="FILE", help="genesis.json that names them.", show_default=False),
    ] = None,
    epoch_length: Annotated[
        int | None,
        typer.Option(
            "--epoch-length",
            min=1,
            help="Blocks after which its votes on validators lapse. As in --genesis, or 30000.",
            show_default=False,
        ),
    ] = None,
    genesis_hash: Annotated[
        str | None, typer.Option("--genesis-hash", metavar="0x…", help="Hash of block 0.", show_default=False)
    ] = None,
    witness: Annotated[
        list[str] | None,
        typer.Option("--witness", metavar="0x…", help="Signing key of a member.", show_default=False),
    ] = None,
    checkpoints: Annotated[
        Path | None,
        typer.Option("--checkpoints", metavar="FILE", help="What witnesses signed.", show_default=False),
    ] = None,
    witnesses_needed: Annotated[
        int | None,
        typer.Option(
            "--witnesses-needed",
            min=1,
            help="Witnesses that must vouch. Two thirds by default.",
            show_default=False,
        ),
    ] = None,
    seen: Annotated[
        str | None,
        typer.Option("--seen", metavar="N:0x…", help="A block that you saw before.", show_default=False),
    ] = None,
    block: Annotated[
        int | None, typer.Option("--block", min=0, help="Height to look at. The newest.", show_default=False)
    ] = None,
    max_age: Annotated[
        int | None, typer.Option("--max-age", min=1, help="Oldest block, seconds.", show_default=False)
    ] = None,
    max_lag: Annotated[int, typer.Option("--max-lag", min=0, help="Blocks that a node may be behind.")] = 5,
    trust_node: Annotated[
        bool, typer.Option("--trust-node", help="Take one node's word for the block.")
    ] = False,
    timeout: Annotated[float, typer.Option("--timeout", min=0.1, help="Seconds for each answer.")] = 10.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    no_color: Annotated[
        bool, typer.Option("--no-color", help="Print no colours; so does NO_COLOR in the environment.")
    ] = False,
) -> None:
    """Prove that a model is on a ledger, or that it is not, to somebody who trusts no node.

    Nodes are asked for a block, and for Merkle proofs of the contract's storage in that block. What stands behind the
    block is up to you: several nodes, the validators' seals, members' checkpoints, or a block that you saw before. Exit
    code 0 means that the model is proven to be on the ledger, 4 that it is proven not to be, 1 that a check failed.
    """
    starting(quiet=as_json)
    from ledger.audit.light_run import run_light

    asked = Asked(
        model=model,
        rpc=tuple(rpc or ()),
        ledger=ledger,
        chain_id=chain_id,
        contract=contract,
        run=run,
        at_least=at_least,
        validators=tuple(validators or ()),
        genesis=genesis,
        epoch_length=epoch_length,
        genesis_hash=genesis_hash,
        witness=tuple(witness or ()),
        checkpoints=checkpoints,
        witnesses_needed=witnesses_needed,
        seen=seen,
        block=block,
        max_age=max_age,
        max_lag=max_lag,
        trust_node=trust_node,
        timeout=timeout,
    )
    raise typer.Exit(run_light(asked, as_json=as_json, no_color=no_color))
