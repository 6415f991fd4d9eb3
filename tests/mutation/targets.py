"""Which modules are weakened, which tests must notice, and which mutants no test can notice because nothing changed."""

from __future__ import annotations

NUMBERED: dict[str, tuple[str, ...]] = {
    "fl_core/protocol/header_check.py": ("tests/unit/fl_core/protocol/test_header_check.py",),
    "fl_core/protocol/prekeys.py": ("tests/unit/fl_core/protocol/test_prekeys.py",),
    "fl_core/protocol/coordinator.py": ("tests/unit/fl_core/protocol/test_coordinator.py",),
    "fl_core/protocol/share_check.py": ("tests/unit/fl_core/protocol/test_share_check.py",),
    "fl_core/protocol/sealed_check.py": ("tests/unit/fl_core/protocol/test_member.py",),
    "fl_core/protocol/member.py": ("tests/unit/fl_core/protocol/test_member.py",),
    "fl_core/protocol/blame.py": ("tests/unit/fl_core/protocol/test_blame.py",),
    "fl_core/protocol/weights.py": ("tests/unit/fl_core/protocol/test_weights.py",),
}
"""Modules with the numbered checks of docs/explanation/protocol.md, and the tests to begin with."""

SUPPORTING: dict[str, tuple[str, ...]] = {
    "fl_core/codec.py": ("tests/unit/fl_core/test_codec.py",),
    "fl_core/hashtree.py": ("tests/unit/fl_core/test_hashtree.py",),
    "fl_core/protocol/header.py": ("tests/unit/fl_core/protocol/test_header.py",),
    "fl_core/protocol/statements.py": ("tests/unit/fl_core/protocol/test_statements.py",),
    "fl_core/protocol/messages.py": ("tests/unit/fl_core/protocol/test_messages.py",),
    "fl_core/protocol/check_messages.py": ("tests/unit/fl_core/protocol/test_check_messages.py",),
    "fl_core/protocol/blame_messages.py": ("tests/unit/fl_core/protocol/test_blame.py",),
    "fl_core/protocol/exclusions.py": ("tests/unit/fl_core/protocol/test_exclusions.py",),
    "fl_core/protocol/recovery.py": ("tests/unit/fl_core/protocol/test_recovery.py",),
    "fl_core/protocol/opening.py": ("tests/unit/fl_core/protocol/test_opening.py",),
    "fl_core/secagg/decrypt.py": ("tests/unit/fl_core/secagg/test_decrypt.py",),
    "fl_core/secagg/functional.py": ("tests/unit/fl_core/secagg/test_functional.py",),
    "fl_core/secagg/place.py": ("tests/unit/fl_core/protocol/test_blame.py",),
    "fl_core/secagg/shamir.py": ("tests/unit/fl_core/secagg/test_shamir.py",),
    "fl_core/secagg/boxes.py": ("tests/unit/fl_core/secagg/test_boxes.py",),
    "fl_core/secagg/fold.py": ("tests/unit/fl_core/secagg/test_fold.py",),
    "fl_core/secagg/layout.py": ("tests/unit/fl_core/secagg/test_layout.py",),
    "fl_core/secagg/ckks/agreement.py": ("tests/unit/fl_core/secagg/test_ckks.py",),
    "fl_core/secagg/ckks/ceremony.py": ("tests/unit/fl_core/secagg/test_ckks.py",),
    "fl_core/secagg/ckks/keys.py": ("tests/unit/fl_core/secagg/test_ckks.py",),
    "fl_core/secagg/ckks/structure.py": ("tests/unit/fl_core/secagg/test_ckks_messages.py",),
    "clients/node/register.py": ("tests/unit/clients/node/test_register.py",),
    "clients/node/view.py": (
        "tests/unit/clients/node/test_view.py",
        "tests/unit/clients/node/test_view_on_the_chain.py",
    ),
    "clients/node/service.py": (
        "tests/unit/clients/node/test_service.py",
        "tests/unit/clients/node/test_service_questions.py",
        "tests/unit/clients/node/test_prekeys.py",
    ),
    "clients/node/seat.py": ("tests/unit/clients/node/test_service_questions.py",),
    "clients/node/decisions.py": ("tests/unit/clients/node/test_policy.py",),
    "clients/node/ckks.py": ("tests/unit/clients/node/test_ckks.py",),
    "coordinator/rounds/machine.py": ("tests/unit/coordinator/rounds/test_machine.py",),
    "coordinator/rounds/blame.py": ("tests/unit/coordinator/rounds/test_blame.py",),
}
"""What the numbered checks stand on: decoders, arithmetic, once-only steps."""

EVERYTHING = (
    "tests/unit/fl_core/protocol",
    "tests/adversarial",
    "tests/unit/coordinator/rounds",
    "tests/unit/clients/node",
    "tests/unit/fl_core/secagg",
    "tests/properties",
)  # fmt: skip
"""What is tried when the first tests did not notice."""

EQUIVALENT: dict[str, str] = {}
"""Mutant without its line -> why it does the same as the original."""
