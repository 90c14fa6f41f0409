"""GPUs by name: what they compute a second, how much they hold, what an hour of one costs."""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from discl.config.toml import read
from discl.core.errors import UserError, shown, unknown
from discl.core.plain_files import plain_text
from discl.files.disk import home, resource
from discl.harness.price.currencies import currency
from discl.harness.price.work import NetworkWork

_SHIPPED = "pkg://discl/assets/gpus.toml"
_OWN = "gpus.toml"  # in $DISCL_HOME
UTILISATION = 0.5  # of the peak that is reached
OPERATOR_SECONDS = 25e-6  # in which a processor launches an operator, beside Python
EAGER = 1.25  # times as long as compiled: SDXL on an A100 takes 3.31 s, and compiled 2.54 s
_NUMBERS = ("bf16", "tf32", "fp32", "bandwidth", "memory")
_TEXTS = ("title", "source", "currency", "price_date", "price_source")
_MOST = 1e7  # of any of the numbers


@dataclass(frozen=True)
class Price:
    """Of an hour of one GPU."""

    amount: float
    currency: str
    source: str  # whose price it is, and when it was seen

    def of(self, hours: float) -> str:
        """'12 USD' for so many hours of one GPU; never '0.00 USD' for what costs something."""
        cost = self.amount * hours
        if 0 < cost < 0.005:
            return f"under 0.01 {self.currency}"
        return f"{cost:,.2f} {self.currency}" if cost < 10 else f"{cost:,.0f} {self.currency}"


@dataclass(frozen=True)
class Gpu:
    """Numbers of one GPU: dense TFLOP/s, GB/s and GB."""

    name: str
    title: str
    bf16: float
    tf32: float
    fp32: float
    bandwidth: float
    memory: float
    source: str
    utilisation: float = UTILISATION
    price: Price | None = None

    @property
    def memory_bytes(self) -> int:
        return int(self.memory * 1e9)

    def seconds(self, work: NetworkWork, dtype: str, tf32: bool = True) -> float:
        """Of a pass, which waits for arithmetic, for its weights, or for operators to be launched.

        `dtype` is "float32", "float16" or "bfloat16". In float32 convolutions are in TF32, as
        torch has them by default, unless `tf32` is False; products are not.
        """
        half = dtype != "float32"
        convolution_peak = self.bf16 if half else self.tf32 if tf32 else self.fp32
        convolving = work.convolutions / (1e12 * convolution_peak)
        multiplying = work.products / (1e12 * (self.bf16 if half else self.fp32))
        reading = work.weights * (2 if half else 4) / (1e9 * self.bandwidth)
        launching = work.operators * OPERATOR_SECONDS
        arithmetic = (convolving + multiplying) / self.utilisation
        return max(arithmetic, reading, launching)


def known_gpus() -> dict[str, Gpu]:
    """Those that ship with us, and those of $DISCL_HOME/gpus.toml, by name.

    Raises UserError where that file is no such list.
    """
    tables = tomllib.loads(plain_text(Path(resource(_SHIPPED))))
    listed = {name: _gpu(name, table, _SHIPPED) for name, table in tables.items()}
    own = home() / _OWN
    if own.exists():
        listed |= {name: _gpu(name, table, str(own)) for name, table in read(own).items()}
    return listed


def find_gpu(name: str) -> Gpu:
    """Raises UserError, which lists the names, where there is no such GPU."""
    gpus = known_gpus()
    wanted = re.sub(r"[\s_-]|nvidia|geforce", "", name.lower())
    if wanted not in gpus and name not in gpus:
        raise UserError(
            f"--gpu {shown(name)}: no such GPU is known; take one of {', '.join(sorted(gpus))},"
            f" give --tflops, --bandwidth and --memory, or add a table to {home() / _OWN}"
        )
    return gpus[name if name in gpus else wanted]


def custom_gpu(tflops: float | None, bandwidth: float | None, memory: float | None) -> Gpu:
    """One of these numbers: dense TFLOP/s in bfloat16, GB/s, GB.

    TF32 is taken for half as fast and float32 for an eighth, about as on an A100 and an H200.
    Raises UserError where one is missing or out of range.
    """
    given = {"--tflops": tflops, "--bandwidth": bandwidth, "--memory": memory}
    missing = [option for option, value in given.items() if value is None]
    if missing:
        raise UserError(
            f"{' and '.join(missing)} missing: a GPU without a name is described by --tflops"
            " (dense, in bfloat16), --bandwidth (GB/s) and --memory (GB)"
        )
    for option, value in given.items():
        _positive(option, value)
    assert tflops is not None  # noqa: S101 - none is missing
    assert bandwidth is not None  # noqa: S101
    assert memory is not None  # noqa: S101
    return Gpu(
        "custom",
        f"a GPU of {tflops:g} TFLOP/s, {bandwidth:g} GB/s and {memory:g} GB",
        tflops,
        tflops / 2,
        tflops / 8,
        bandwidth,
        memory,
        "the options",
    )


def priced(gpu: Gpu, text: str | None) -> Gpu:
    """The GPU at the price of an hour that a person gives, such as "3.5 USD"; None = its own.

    A number alone is in the currency of the GPU's own price. Raises UserError where it has none, or
    the text is no price.
    """
    if text is None:
        return gpu
    found = re.fullmatch(
        r"\s*([A-Za-z]{3}|[$€£])?\s*(\d+(?:\.\d+)?)\s*([A-Za-z]{3}|[$€£])?\s*", text
    )
    if not found or (found[1] and found[3]):
        raise UserError(
            f"--price {shown(text)} is no price of an hour of one GPU; write an amount and a"
            ' currency of three letters (or $, €, £), such as --price "3.5 USD"'
        )
    amount = float(found[2])
    if not amount:
        raise UserError(
            f"--price {shown(text)} is nothing; give an amount above 0, or leave it out"
        )
    if amount > _MOST:
        raise UserError(
            f"--price {shown(text)} is more than {_MOST:g} an hour; give the price of one GPU"
        )
    named = found[1] or found[3] or ""
    if not named and gpu.price is None:
        raise UserError(
            f"--price {shown(text)} has no currency, and no price of {gpu.name} is known that would"
            f' say which; write --price "{amount:g} USD", or EUR, ...'
        )
    if not named and gpu.price is not None:
        code = gpu.price.currency
        return replace(gpu, price=Price(amount, code, f"as given, in {code} as none was named"))
    return replace(gpu, price=Price(amount, currency(named, f"--price {shown(text)}"), "as given"))


def _gpu(name: str, table: Any, where: str) -> Gpu:
    if not isinstance(table, Mapping):
        raise UserError(f"{where}: {name} = {shown(table)} is a value; write a table [{name}]")
    known = {*_NUMBERS, *_TEXTS, "price", "utilisation"}
    for key in table:
        if key not in known:
            raise unknown(f"key of [{name}], in {where},", str(key), known)
    for key in _NUMBERS:
        if key not in table:
            raise UserError(f"{where}: [{name}] has no {key}; a GPU needs {', '.join(_NUMBERS)}")
        _positive(f"{where}: {name}.{key}", table[key])
    utilisation = table.get("utilisation", UTILISATION)
    _positive(f"{where}: {name}.utilisation", utilisation, 1.0)
    price = None
    if "price" in table:
        _positive(f"{where}: {name}.price", table["price"])
        if not table.get("currency"):
            raise UserError(
                f'{where}: {name}.price = {table["price"]} has no currency; add currency = "USD"'
            )
        source = ", ".join(
            str(table[key]) for key in ("price_source", "price_date") if table.get(key)
        )
        price = Price(float(table["price"]), str(table["currency"]), source)
    bf16, tf32, fp32, bandwidth, memory = (float(table[key]) for key in _NUMBERS)
    title, source = str(table.get("title", name)), str(table.get("source", where))
    return Gpu(name, title, bf16, tf32, fp32, bandwidth, memory, source, float(utilisation), price)


def _positive(what: str, value: Any, most: float = _MOST) -> None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not (number and math.isfinite(value) and 0 < value <= most):
        raise UserError(f"{what} = {shown(value)}: takes a number above 0, {most:g} at most")
