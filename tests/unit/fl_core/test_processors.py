"""The same bytes on every code path of the processor, compiled code from the cache, and a way without one."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import llvmlite.binding as llvm
import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[3]

PROGRAM = """
import hashlib, numpy as np
from fl_core.digests import Label
from fl_core.lattice.parameters import P2048, P4096, P4096g, PACK15, PACKINGS
from fl_core.quantise import Block, Quantiser
from fl_core.randomness import Stream
from fl_core.secagg.decrypt import decrypt
from fl_core.secagg.encrypt import encrypt
from fl_core.secagg.fold import Accumulator
from fl_core.secagg.layout import Layout
from fl_core.secret import Secret

hashed = hashlib.sha256()
seed, header = Secret(bytes(range(32))), bytes(32)
update = (np.arange(-20_000, 20_000, dtype=np.float32) ** 3 * np.float32(1e-13)).astype(np.float32)
cases = [(P2048, PACK15), (P4096, PACKINGS["PACK12x16"]), (P2048, PACKINGS["PACK16x64"]), (P4096g, PACKINGS["PACK20x16g"])]
for params, packing in cases:
    quantiser = Quantiser((Block("w", update.size, 0.7),), (), 10, packing.value_bits)
    values = quantiser.quantise(update, 3, (), Stream(seed, Label.ROUNDING)).values
    layout = Layout(params=params, packing=packing, length=values.size)
    ciphertext, secret = encrypt(layout, header, values, seed)
    total = Accumulator(layout)
    total.add(ciphertext)
    opened = decrypt(layout, header, total.sums, 1, secret.reveal())
    assert np.array_equal(opened.values, values)
    mean = quantiser.dequantise(opened.values, 1).mean
    for part in (values, ciphertext, secret.reveal(), total.sums, mean):
        hashed.update(part.tobytes())
    hashed.update(str(opened.max_noise).encode())
print(hashed.hexdigest())
"""

KNOWN = "6b30b430dadad9395c8b030ed215a31c7181ac00e8a1cb2f99753a376bb3bffc"
"""What the program prints on x86-64, recorded so that another processor's owner can compare."""

STARTED = "import fl_core.secagg.encrypt, fl_core.secagg.decrypt, fl_core.quantise.kernels"


AT_A_TIME = 2
"""Processes that compile all kernels with one core each."""


def run(program: str, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("NUMBA_")}
    return subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT, env={**kept, "PYTHONPATH": str(ROOT), **environment}, capture_output=True, text=True, check=True,
    )  # fmt: skip


def test_this_processor_gives_the_recorded_bytes():
    assert run(PROGRAM).stdout.strip() == KNOWN


PROCESSORS = {
    "generic": {"NUMBA_CPU_NAME": "generic"},
    "x86-64": {"NUMBA_CPU_NAME": "x86-64"},
    "avx2 and fma": {"NUMBA_CPU_NAME": "x86-64-v3", "NUMBA_CPU_FEATURES": ""},
    "avx-512": {"NUMBA_CPU_NAME": "x86-64-v4", "NUMBA_CPU_FEATURES": ""},
    "host without avx-512": {"NUMBA_CPU_FEATURES": "-avx512f"},
    "host without avx2 and fma": {"NUMBA_CPU_FEATURES": "-avx2,-avx512f,-fma"},
    "unoptimised": {"NUMBA_OPT": "0"},
}


@pytest.fixture(scope="module")
def printed(tmp_path_factory) -> Iterator[Callable[[str], list[subprocess.CompletedProcess[str]]]]:
    """Start whatever compiles all kernels from nothing, some at a time; returns how the processes of one case ended."""

    def cached(program: str, times: int = 1, **environment: str) -> Callable[[], list[Any]]:
        cache = str(tmp_path_factory.mktemp("cache"))
        return lambda: [run(program, NUMBA_CACHE_DIR=cache, **environment) for _ in range(times)]

    cases = {
        **{name: cached(PROGRAM, **how) for name, how in PROCESSORS.items() if not lacking(how)},
        "twice": cached(COUNTED.format(imports=STARTED), times=2),
        "nowhere": lambda: [run(NOWHERE)],
        "arm64": cached(FOR_ARM64),
    }
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        done = {name: pool.submit(case) for name, case in cases.items()}
        yield lambda name: done[name].result()
        pool.shutdown(cancel_futures=True)


def lacking(processor: dict[str, str]) -> str:
    """Name what this processor lacks to run a case's code: there is nothing to compare then."""
    for level, extension in (("v3", "avx2"), ("v4", "avx512vl")):
        if level in str(processor) and extension not in Path("/proc/cpuinfo").read_text():
            return extension
    return ""


@pytest.mark.slow
@pytest.mark.parametrize("name", PROCESSORS)
def test_every_code_path_gives_the_recorded_bytes(name, printed):
    if extension := lacking(PROCESSORS[name]):
        pytest.skip(f"no {extension} here")
    [done] = printed(name)
    assert done.stdout.strip() == KNOWN


DECODING = """
import hashlib, numpy as np
from fl_core.models.step import apply_step
from fl_core.quantise import Block, Quantiser

hashed = hashlib.sha256()
for bits, count in ((8, 5), (15, 64), (20, 1000)):
    quantiser = Quantiser((Block("w", 70_001, 0.7), Block("b", 333, 1e-3)), (), 10, bits)
    top = quantiser.law.top
    values = np.arange(quantiser.size, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)  # anything that looks random
    sums = np.append(values % np.uint64(count * top + 1), count * top // 3).astype(np.int64)
    mean = quantiser.dequantise(sums, count).mean
    model = apply_step("fedavg", {"w": mean[::-1].copy()}, mean)["w"]
    clips = [block.clip.hex() for block in quantiser.next_blocks(sums, count, floor=1e-6)]
    hashed.update(mean.tobytes() + model.tobytes() + str(clips).encode())
print(hashed.hexdigest())
"""

DECODED = "4336e691ca2ae2e83a53b6198bae7b7bf477def9f4047dcad994d18f256552c3"
"""What the program prints on x86-64, whatever numpy uses of the processor."""


def numpys_levels() -> list[str]:
    """Return the sets of instructions that this numpy chooses from when it runs, lowest first; the names are its own."""
    found: list[str] = np._core._multiarray_umath.__cpu_dispatch__  # type: ignore[attr-defined]
    return found


@pytest.mark.parametrize("kept", range(4))
def test_decoding_gives_the_recorded_bytes_on_every_level_that_numpy_chooses_from(kept):
    """Unlike the kernels, numpy is compiled already, for all levels; what is above the kept ones is switched off."""
    switched_off = " ".join(numpys_levels()[kept:])
    assert run(DECODING, NPY_DISABLE_CPU_FEATURES=switched_off).stdout.strip() == DECODED


COUNTED = """
from numba.core import event
with event.install_recorder("numba:compile") as compiled:
    {imports}
print(len(compiled.buffer))
"""


@pytest.mark.slow
def test_a_second_process_compiles_nothing(printed):
    first, second = (int(done.stdout) for done in printed("twice"))
    assert first > 0
    assert second == 0


NOWHERE = """
import logging
logging.basicConfig(format="%(levelname)s %(name)s %(message)s")
from numba.core import caching
caching.CacheImpl._locator_classes = []  # neither the installation nor the user's folder can be written
import fl_core.lattice.kernels as kernels
print(kernels.stored_in())
import fl_core.secagg.encrypt
"""


@pytest.mark.slow
def test_without_a_place_for_compiled_code_a_process_works_and_says_so_once(printed):
    [done] = printed("nowhere")
    assert done.stdout.strip() == "None"
    assert len(done.stderr.splitlines()) == 1
    assert "WARNING fl_core.lattice.kernels compiled code cannot be stored" in done.stderr
    assert "NUMBA_CACHE_DIR" in done.stderr


DAMAGED = """
import logging
from pathlib import Path
logging.basicConfig(format="%(levelname)s %(name)s %(message)s")
import numpy as np
from fl_core.lattice import kernels

@kernels.kernel("i8(i8)")
def add_one(x):
    return x + 1

print(add_one(1))
"""


@pytest.mark.parametrize("suffix", [".nbi", ".nbc"], ids=["index", "code"])
def test_damaged_compiled_code_is_not_used_and_stops_nobody(suffix, tmp_path):
    """As after a loss of power: a file that is cut off, or empty."""
    program = tmp_path / "program.py"
    program.write_text(DAMAGED)
    start = f"import runpy; runpy.run_path({str(program)!r})"
    assert run(start).stderr == ""
    files = list((tmp_path / "__pycache__").glob(f"program.add_one*{suffix}"))
    assert files
    for left in (20, 0):
        for file in files:
            file.write_bytes(file.read_bytes()[:left])
        done = run(start)
        assert done.stdout.strip() == "2"
        assert done.stderr.count("WARNING fl_core.lattice.kernels compiled code cannot be") == 1


@pytest.mark.parametrize(
    ("triple", "processor"),
    [("aarch64-unknown-linux-gnu", "neoverse-n1"), ("x86_64-unknown-linux-gnu", "x86-64-v3")],
)
def test_the_compiler_fuses_a_product_and_a_sum_only_where_it_is_allowed_to(triple, processor):
    """What arm64 gives rests on this: the kernels' operations carry no permission, see the next test."""
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    machine = llvm.Target.from_triple(triple).create_target_machine(cpu=processor, opt=3)

    def fused(flag: str) -> bool:
        body = f"%p = fmul {flag} double %a, %b\n %s = fadd {flag} double %p, %c\n ret double %s"
        module = llvm.parse_assembly(f"define double @f(double %a, double %b, double %c) {{ {body} }}")
        return re.search(r"fn?madd", machine.emit_assembly(module)) is not None

    assert fused("contract")
    assert not fused("")


FOR_ARM64 = r"""
import re
import llvmlite.binding as llvm
import numpy as np
from fl_core.quantise import kernels

llvm.initialize_all_targets()
llvm.initialize_all_asmprinters()
machine = llvm.Target.from_triple("aarch64-unknown-linux-gnu").create_target_machine(cpu="neoverse-n1", opt=3)

def loop_of(text):
    '''The kernel itself, without Numba's wrappers (they hold x86 intrinsics), for no processor in particular.'''
    text = re.sub(r"^target (triple|datalayout) = .*$", "", text, flags=re.M)
    text = re.sub(r'"target-(cpu|features)"="[^"]*"', "", text)
    head, *functions = re.split(r"^(?=define )", text, flags=re.M)
    parts = [function.split("\n}\n", 1) for function in functions]
    (loop,) = [body for body, _ in parts if "@_ZN7fl_core" in body.splitlines()[0]]
    return head + loop + "\n}\n" + "".join(rest for _, rest in parts)

def counted(text):
    module = llvm.parse_assembly(text)
    module.triple, module.data_layout = machine.triple, str(machine.target_data)
    code = machine.emit_assembly(module)
    return [len(re.findall(rf"\b({names})\b", code)) for names in ("fmul", "fadd", "fn?m(?:add|sub|la|ls)")]

for function in (kernels.round_values, kernels.round_wide_values):
    for text in function.inspect_llvm().values():
        assert " fmul " in text and " fadd " in text
        assert not [w for w in ("fmul fast", "fmul contract", "fadd fast", "fadd contract", "llvm.fma", "fmuladd") if w in text]
        loop = loop_of(text)
        products, sums, fused = counted(loop)
        assert products == sums > 0 and fused == 0
        allowed = re.sub(r"= (fmul|fadd) ", r"= \1 contract ", loop)
        assert counted(allowed) == [0, 0, products]
print("checked")
"""


@pytest.mark.slow
def test_no_kernel_allows_fusing_or_reordering_and_none_of_its_code_for_arm64_fuses(printed):
    """The code that LLVM makes of the real kernels for an arm64 processor, read and not run: none is at hand."""
    [done] = printed("arm64")
    assert done.stdout.strip() == "checked"
