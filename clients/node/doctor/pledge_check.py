"""The part of check 7 that looks whether the data sets here are those that the holder's consents name on the ledger."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from clients.node.doctor.patient import Finding, Patient, failure
from clients.node.pledges import withdrawal


def changed_since(
    patient: Patient, pledges: Mapping[bytes, bytes], here: Collection[bytes], gone: Collection[bytes]
) -> list[Finding]:
    """Return a finding for each consent that names a data set which is not here: the node refuses the rounds of that run.

    Args:
        patient: The node.
        pledges: Run -> commitment that the consent to it names.
        here: Commitments of the data sets that are here.
        gone: Commitments of those that were erased: without its salt nothing makes one of them again.
    """
    found = []
    for run, dataset in pledges.items():
        if dataset in here:
            continue
        anew = f"ithdraw ({withdrawal(patient.folder, run)}) and consent anew, with the data as it is now."
        why, mend = (
            ("it was erased", f"W{anew}")
            if dataset in gone
            else ("records or salt were changed since", f"Bring the file back; or w{anew}")
        )
        found.append(
            failure(
                f"The consent to the run {run.hex()[:12]} names a data set with the commitment {dataset.hex()[:16]}, and none here has it: "
                f"{why}, so the node refuses that run's rounds.",
                mend,
            )
        )
    return found
