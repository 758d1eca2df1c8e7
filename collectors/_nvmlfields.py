"""Nvmlfields: one batched query for all that a GPU counts; what it does not have is asked once and remembered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from ctypes import addressof, c_int32, c_void_p
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from grayscope.catalogue import Catalogue

#: Layout of NVML's field value, in the order of the published structure.
FIELD = np.dtype({
    "names": ["field", "scope", "latency", "type", "returned", "bits", "real", "long", "uint", "int", "short"],
    "formats": ["<u4", "<u4", "<i8", "<u4", "<u4", "<u8", "<f8", "<i8", "<u4", "<i4", "<u2"],
    "offsets": [0, 4, 16, 24, 28, 32, 32, 32, 32, 32, 32],
    "itemsize": 40,
})  # fmt: skip
DOUBLE, UINT, SIGNED, INT, SHORT = 0, 1, 4, 5, 6
#: Answers that say "never": invalid argument, not supported, function not found; and "not you".
NEVER, DENIED = (2, 3, 13), 4
#: Answers that say that the GPU is gone: lost, reset required, not found.
GONE = (15, 16, 28)
#: Exponents from which on a bit error ratio stands for none: the floor of sums on Blackwell is 238, of links 255.
FLOOR = 238
#: NVLink 5 keeps dozens of counters per link: they are read at leisure.
DEEP = ("NVML_FI_DEV_NVLINK_COUNT_", "NVML_FI_DEV_NVLINK_PLR_")
#: Insufficient size; fields of one query, and of the shortest that is still parted.
TOO_LONG, MOST, FEW = 7, 1 << 16, 16
TABLES = ("gpu", "pcie", "nvlink")
Floats = NDArray[np.float64]


class Known(NamedTuple):
    """One metric and the fields that tell it, best first: name, number and factor to our unit."""

    table: str
    metric: str
    fields: tuple[tuple[str, float], ...]


def known(catalogue: Catalogue) -> tuple[Known, ...]:
    """Return every metric of which the catalogue says what NVML calls it.

    Examples
    --------
    >>> next(k for k in known(Catalogue.load()) if k.metric == "gpu_energy_joules_total").fields
    (('NVML_FI_DEV_TOTAL_ENERGY_CONSUMPTION', 0.001),)
    """
    found = (Known(m.table, m.name, tuple((a, f) for a, f in m.aliases.items() if a.startswith("NVML_FI_"))) for m in catalogue.metrics.values())
    return tuple(k for k in found if k.fields and k.table in TABLES)


@dataclass(slots=True)
class _Cell:
    """One number of one part: where it goes, and the fields that may tell it, of which the first `tried` do not."""

    table: str
    column: int
    link: int
    choices: list[tuple[str, tuple[int, int], float]]
    tried: int = 0

    @property
    def name(self) -> str:
        return self.choices[self.tried][0]


class _Plan:
    """What is asked at once, in the library's own structures that serve look after look, and where the answers go."""

    def __init__(self, nvml: Any, cells: list[_Cell]) -> None:
        self.cells, self.fresh = cells, True
        self.ids = [c.choices[c.tried][1] for c in cells]
        self.factor = np.array([c.choices[c.tried][2] for c in cells])
        self.ratio = np.array([c.name.endswith(("_BER", "_BER_V2")) for c in cells], bool)
        self.where = {}
        for table in TABLES:
            here = [i for i, c in enumerate(cells) if c.table == table]
            self.where[table] = tuple(np.array(x, np.intp) for x in (here, [cells[i].column for i in here], [cells[i].link for i in here]))
        self._values = (nvml.c_nvmlFieldValue_t * len(cells))()
        self.answer = np.frombuffer(self._values, FIELD) if cells else np.zeros(0, FIELD)
        self.answer["field"], self.answer["scope"] = np.array(self.ids, np.uint32).reshape(-1, 2).T

    def forget(self) -> None:
        """Forget the last answer: what a driver leaves out must not look as if it stood still."""
        self.answer["returned"] = self.answer["bits"] = 0

    def ask(self, nvml: Any, handle: Any, start: int, count: int) -> int:
        """Ask for some of the fields; return the library's code.

        The binding's own wrapper makes all structures anew, one Python call for each number in them: longer than all the rest of a look.
        """
        try:
            function = nvml._nvmlGetFunctionPointer("nvmlDeviceGetFieldValues")
        except AttributeError:
            return self._wrapped(nvml, handle, start, count)
        return int(function(handle, c_int32(count), c_void_p(addressof(self._values) + FIELD.itemsize * start)))

    def _wrapped(self, nvml: Any, handle: Any, start: int, count: int) -> int:
        try:
            self.answer[start : start + count] = np.frombuffer(nvml.nvmlDeviceGetFieldValues(handle, self.ids[start : start + count]), FIELD)
        except nvml.NVMLError as error:
            return int(error.value)
        return 0


class Query:
    """The batched query of one GPU.

    A field that the driver refuses gives way to the metric's next one, at once; when none is left the metric is asked no more
    until `forget`. Any other failure of one field leaves its cell empty and is counted.

    Parameters
    ----------
    nvml : module
        ``pynvml`` or what behaves like it.
    metrics : sequence of Known
    links : int
        NVLinks that the GPU has.

    Attributes
    ----------
    support : dict of str to str
        ``"ok"``, ``"unsupported"`` or ``"denied"`` for every field that was asked, the best answer of any link.
    errors : int
        Answers that failed for another reason.
    latency : float
        Seconds that the driver spent on the last query, by its own account.
    """

    def __init__(self, nvml: Any, metrics: Sequence[Known], links: int) -> None:
        self.nvml = nvml
        self.support: dict[str, str] = {}
        self.errors, self.latency, self._most = 0, 0.0, MOST
        column = dict.fromkeys(TABLES, 0)
        self._cells: list[_Cell] = []
        for metric in metrics:
            for link in range(links) if metric.table == "nvlink" else (0,):
                self._cells.append(_Cell(metric.table, column[metric.table], link, _choices(nvml, metric, link)))
            column[metric.table] += 1
        self._plans: dict[bool, _Plan] = {}

    def forget(self) -> None:
        """Ask again for what was refused: links come up, drivers are exchanged."""
        for cell in self._cells:
            cell.tried = 0
        self._plans, self.support, self._most = {}, {}, MOST

    def read(self, handle: Any, deep: bool, out: Mapping[str, Floats]) -> None:
        """Fill the GPU's part of the matrices: ``out[table][column, link]``, link 0 for the GPU and its PCIe end.

        Raises
        ------
        nvml.NVMLError
            The GPU as a whole does not answer.
        """
        self.latency = 0.0
        while True:
            plan = self._plan(deep)
            if not plan.ids:
                return
            returned = self._ask(handle, plan, out)
            refused = [c for c, r in zip(plan.cells, returned.tolist(), strict=True) if r and self._refused(c, r)]
            if not refused:
                self._settled(plan, returned)
                return
            # All of it once more: beside what it refuses, a driver may answer 0 and success for what it has (power limit of an H100, 580.159).
            self._plans = {}

    def _settled(self, plan: _Plan, returned: NDArray[np.uint32]) -> None:
        if plan.fresh:
            plan.fresh = False
            self.support |= {c.name: "ok" for c, r in zip(plan.cells, returned.tolist(), strict=True) if not r}

    def _plan(self, deep: bool) -> _Plan:
        if deep not in self._plans:
            left = (c for c in self._cells if c.tried < len(c.choices))
            self._plans[deep] = _Plan(self.nvml, [c for c in left if deep or not c.name.startswith(DEEP)])
        return self._plans[deep]

    def _ask(self, handle: Any, plan: _Plan, out: Mapping[str, Floats]) -> NDArray[np.uint32]:
        """Send one query, write what was answered, return NVML's code for each field."""
        answer = self._answer(handle, plan)
        returned = answer["returned"]
        if returned.all() and np.isin(returned, GONE).all():
            raise self.nvml.NVMLError(int(returned[0]))
        with np.errstate(over="ignore", invalid="ignore"):  # a driver may answer anything
            values = decoded(answer, plan.ratio) * plan.factor
        values[(returned != 0) | ~np.isfinite(values)] = np.nan
        for table, (here, column, link) in plan.where.items():
            if len(here):
                out[table][column, link] = values[here]
        self.latency += float(answer["latency"].sum()) * 1e-6
        return returned

    def _answer(self, handle: Any, plan: _Plan) -> NDArray[np.void]:
        """Return the field values; one call as a rule.

        A call in which no field could be filled fails as a whole, and so may one that is too long for a driver: then it is made in
        parts, until it is clear which.
        """
        plan.forget()
        start = 0
        while start < len(plan.ids):
            count = min(self._most, len(plan.ids) - start)
            code = plan.ask(self.nvml, handle, start, count)
            if code and code not in (*NEVER, TOO_LONG):
                raise self.nvml.NVMLError(code)
            if code and count > FEW:
                self._most = count // 2
                continue
            if code:
                plan.answer["returned"][start : start + count] = NEVER[0]
            start += count
        return plan.answer

    def _refused(self, cell: _Cell, code: int) -> bool:
        """Note a failure; say whether the field is not to be asked any more."""
        if code not in (*NEVER, DENIED):
            self.errors += 1
            return False
        self.support.setdefault(cell.name, "denied" if code == DENIED else "unsupported")
        cell.tried += 1
        return True


def decoded(answer: NDArray[np.void], ratio: NDArray[np.bool_]) -> Floats:
    """Return the numbers of field values, each by its type; words of bit error ratios where `ratio` says so.

    Examples
    --------
    >>> one = np.zeros(2, FIELD)
    >>> one["type"], one["bits"] = [INT, UINT], [2**64 - 5, 0x50C]
    >>> decoded(one, np.array([False, True])).tolist()
    [-5.0, 5e-12]
    """
    kind, values = answer["type"], answer["bits"].astype(np.float64)
    for code, name in ((DOUBLE, "real"), (UINT, "uint"), (SIGNED, "long"), (INT, "int"), (SHORT, "short")):
        here = kind == code
        if here.any():
            values[here] = answer[name][here]
    if ratio.any():
        values[ratio] = bit_error_ratio(answer["bits"][ratio])
    return values


def bit_error_ratio(words: NDArray[np.uint64]) -> Floats:
    """Return NVLink's packed ratios as numbers: mantissa in bits 8-11, exponent of 1/10 in bits 0-7; below the floor is 0.

    Source: NVML header of DCGM 4.6, ``NVML_NVLINK_BER_*``; 15E-255 stands for none.

    Examples
    --------
    >>> bit_error_ratio(np.array([0x30C, 0xFFF, 0x00C], np.uint64)).tolist()
    [3e-12, 0.0, 0.0]
    """
    mantissa, exponent = ((words >> np.uint64(8)) & np.uint64(15)).astype(np.float64), (words & np.uint64(255)).astype(np.float64)
    return np.where(exponent >= FLOOR, 0.0, mantissa / 10.0 ** np.minimum(exponent, FLOOR))


def _choices(nvml: Any, metric: Known, link: int) -> list[tuple[str, tuple[int, int], float]]:
    """Return (name, what to ask, factor) of every field that this library knows; what NVML counts per link has a number for each.

    Always a pair: the binding takes bare numbers too, but by way of an exception for each.
    """
    found = []
    for name, factor in metric.fields:
        plain, numbered = getattr(nvml, name, None), getattr(nvml, f"{name}_L{link}", None)
        if plain is not None:
            found.append((name, (plain, link), factor))
        elif numbered is not None:
            found.append((name, (numbered, 0), factor))
    return found
