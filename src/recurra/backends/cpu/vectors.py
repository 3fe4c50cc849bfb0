"""Vector arithmetic in LLVM IR: one lane for each unit, float32 or float64, any number of lanes."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import llvmlite.ir as ir

from recurra.backends.cpu.coefficients import EXPM1, LOG1P, TANH, TANH_NEAR

POINTER = ir.PointerType()
INT = ir.IntType(64)


def index(value: int) -> ir.Constant:
    """A 64-bit integer."""
    return ir.Constant(INT, value)


@dataclass(frozen=True)
class Format:
    """A number format and how many of its numbers stand in a vector.

    Attributes:
        bits: 32 or 64.
        lanes: numbers in a vector.
    """

    bits: int
    lanes: int

    @property
    def size(self) -> int:
        """Bytes of a number."""
        return self.bits // 8

    @cached_property
    def scalar(self) -> ir.Type:
        """One number."""
        return ir.FloatType() if self.bits == 32 else ir.DoubleType()

    @cached_property
    def vector(self) -> ir.VectorType:
        """A vector of numbers."""
        return ir.VectorType(self.scalar, self.lanes)

    @cached_property
    def integers(self) -> ir.VectorType:
        """A vector of integers of the same width."""
        return ir.VectorType(ir.IntType(self.bits), self.lanes)

    @cached_property
    def truths(self) -> ir.VectorType:
        """A vector of truths."""
        return ir.VectorType(ir.IntType(1), self.lanes)

    @property
    def mantissa(self) -> int:
        """Bits of the mantissa."""
        return 23 if self.bits == 32 else 52

    @property
    def bias(self) -> int:
        """Bias of the exponent."""
        return 127 if self.bits == 32 else 1023

    @property
    def name(self) -> str:
        """As intrinsics spell it, such as v16f32."""
        return f"v{self.lanes}f{self.bits}"

    def rounded(self, value: float) -> float:
        """A number as this format holds it."""
        return struct.unpack("f", struct.pack("f", value))[0] if self.bits == 32 else value


class Vectors:
    """Arithmetic at the place of a builder.

    Args:
        builder: where instructions go.
        form: number format and lanes.
    """

    def __init__(self, builder: ir.IRBuilder, form: Format) -> None:
        self.b = builder
        self.form = form

    def const(self, value: float) -> ir.Constant:
        """The same number in every lane."""
        return ir.Constant(self.form.vector, [self.form.rounded(value)] * self.form.lanes)

    def integer(self, value: int) -> ir.Constant:
        """The same integer in every lane."""
        return ir.Constant(self.form.integers, [value] * self.form.lanes)

    def mask(self, count: int | ir.Value) -> ir.Value:
        """True in the first `count` lanes."""
        numbers = range(self.form.lanes)
        if isinstance(count, int):
            return ir.Constant(self.form.truths, [int(k < count) for k in numbers])
        lanes = ir.Constant(ir.VectorType(INT, self.form.lanes), list(numbers))
        return self.b.icmp_signed("<", lanes, self._everywhere(count))

    def splat(self, scalar: ir.Value) -> ir.Value:
        """A number in every lane."""
        return self._everywhere(scalar)

    def _everywhere(self, scalar: ir.Value) -> ir.Value:
        empty = ir.Constant(ir.VectorType(scalar.type, self.form.lanes), ir.Undefined)
        one = self.b.insert_element(empty, scalar, ir.Constant(ir.IntType(32), 0))
        zeros = ir.Constant(ir.VectorType(ir.IntType(32), self.form.lanes), [0] * self.form.lanes)
        return self.b.shuffle_vector(one, empty, zeros)

    def call(self, name: str, *args: ir.Value) -> ir.Value:
        """An intrinsic of LLVM on vectors."""
        module = self.b.module
        full = f"llvm.{name}.{self.form.name}"
        function = module.globals.get(full)
        if function is None:
            kind = ir.FunctionType(self.form.vector, [self.form.vector] * len(args))
            function = ir.Function(module, kind, full)
        return self.b.call(function, args)

    def fma(self, a: ir.Value, b: ir.Value, c: ir.Value) -> ir.Value:
        """`a * b + c`, rounded once where the processor can."""
        return self.call("fmuladd", a, b, c)

    def polynomial(self, x: ir.Value, coefficients: Sequence[float]) -> ir.Value:
        """Horner's scheme; the coefficient of the highest power first."""
        value: ir.Value = self.const(coefficients[0])
        for coefficient in coefficients[1:]:
            value = self.fma(value, x, self.const(coefficient))
        return value

    def less(self, a: ir.Value, b: ir.Value) -> ir.Value:
        """Truths; False where one of both is NaN."""
        return self.b.fcmp_ordered("<", a, b)

    def at_least(self, x: ir.Value, limit: float) -> ir.Value:
        """`x`, but not below the limit; NaN stays NaN."""
        return self.b.select(self.less(x, self.const(limit)), self.const(limit), x)

    def at_most(self, x: ir.Value, limit: float) -> ir.Value:
        """`x`, but not above the limit; NaN stays NaN."""
        return self.b.select(self.less(self.const(limit), x), self.const(limit), x)

    # Functions. NaN passes through all of them.

    def _reduced(self, x: ir.Value) -> tuple[ir.Value, ir.Value]:
        """(k, expm1(r)) with x = k ln 2 + r and |r| <= ln 2 / 2; k as integers.

        k is rounded by adding 1.5 * 2**mantissa, so that no conversion meets a NaN.
        """
        form = self.form
        magic = self.const(1.5 * 2.0**form.mantissa)
        shifted = self.fma(x, self.const(1 / math.log(2)), magic)
        k = self.b.fsub(shifted, magic)
        high = 0.693359375 if form.bits == 32 else 6.93147180369123816490e-01
        r = self.fma(k, self.const(-high), x)
        r = self.fma(
            k, self.const(high - math.log(2) if form.bits == 32 else -1.90821492927058770002e-10), r
        )
        q = self.polynomial(r, EXPM1[form.bits])
        number = self.b.sub(
            self.b.bitcast(shifted, form.integers), self.b.bitcast(magic, form.integers)
        )
        return number, self.fma(self.b.fmul(r, r), q, r)

    def _power_of_two(self, k: ir.Value) -> ir.Value:
        """2**k for integers k that are exponents of normal numbers."""
        moved = self.b.shl(
            self.b.add(k, self.integer(self.form.bias)), self.integer(self.form.mantissa)
        )
        return self.b.bitcast(moved, self.form.vector)

    def _scaled(self, value: ir.Value, k: ir.Value) -> ir.Value:
        """`value * 2**k` in two steps, so that overflow and gradual underflow come out right."""
        half = self.b.ashr(k, self.integer(1))
        value = self.b.fmul(value, self._power_of_two(half))
        return self.b.fmul(value, self._power_of_two(self.b.sub(k, half)))

    def exp(self, x: ir.Value) -> ir.Value:
        """The exponential of x."""
        low, high = (-104.0, 89.0) if self.form.bits == 32 else (-746.0, 710.0)
        k, e = self._reduced(self.at_most(self.at_least(x, low), high))
        return self._scaled(self.b.fadd(e, self.const(1)), k)

    def sigmoid(self, x: ir.Value) -> ir.Value:
        """1 / (1 + E) with E = exp(-x).

        Both sides of the fraction carry a factor, so that E does not overflow where the result is
        small but not zero.
        """
        single = self.form.bits == 32
        down = 2.0**-32 if single else 2.0**-128
        z = self.at_least(self.b.fneg(x), -40.0 if single else -80.0)
        k, e = self._reduced(self.at_most(z, 105.0 if single else 746.0))
        s = self._power_of_two(self.b.add(k, self.integer(int(math.log2(down)))))
        # The small summands first: their rounding is then small too.
        return self.b.fdiv(self.const(down), self.b.fadd(s, self.fma(s, e, self.const(down))))

    def tanh(self, x: ir.Value) -> ir.Value:
        """x + x**3 P(x**2) near 0, and 1 - 2 / (1 + exp(2 |x|)) away from it."""
        size = self.call("fabs", x)
        z = self.at_most(self.b.fadd(size, size), 20.0 if self.form.bits == 32 else 40.0)
        k, e = self._reduced(z)
        s = self._power_of_two(k)
        total = self.b.fadd(s, self.fma(s, e, self.const(1)))
        far = self.b.fsub(self.const(1), self.b.fdiv(self.const(2), total))
        y = self.b.fmul(x, x)
        p = self.polynomial(y, TANH[self.form.bits])
        near = self.fma(self.b.fmul(size, y), p, size)
        value = self.b.select(self.less(size, self.const(TANH_NEAR)), near, far)
        return self.call("copysign", value, x)

    def log(self, x: ir.Value) -> ir.Value:
        """Natural logarithm: x = 2**k (1 + f), and log(1 + f) from its series in f / (2 + f)."""
        form = self.form
        smallest = 2.0 ** (1 - form.bias)
        tiny = self.less(x, self.const(smallest))
        up = form.mantissa + 2
        y = self.b.select(tiny, self.b.fmul(x, self.const(2.0**up)), x)
        bits = self.b.bitcast(y, form.integers)
        root = self.b.bitcast(self.const(math.sqrt(0.5)), form.integers)
        moved = self.b.sub(bits, root)
        k = self.b.ashr(moved, self.integer(form.mantissa))
        m = self.b.bitcast(
            self.b.sub(bits, self.b.shl(k, self.integer(form.mantissa))), form.vector
        )
        k = self.b.select(tiny, self.b.sub(k, self.integer(up)), k)
        n = self.b.sitofp(k, form.vector)
        f = self.b.fsub(m, self.const(1))
        s = self.b.fdiv(f, self.b.fadd(f, self.const(2)))
        z = self.b.fmul(s, s)
        terms = 5 if form.bits == 32 else 11
        series = self.polynomial(z, [2 / (2 * n + 1) for n in range(terms, 0, -1)])
        half = self.b.fmul(self.b.fmul(f, f), self.const(0.5))
        rest = self.b.fmul(s, self.fma(z, series, half))
        high = 0.693359375 if form.bits == 32 else 6.93147180369123816490e-01
        low = math.log(2) - high if form.bits == 32 else 1.90821492927058770002e-10
        inner = self.b.fsub(half, self.fma(n, self.const(low), rest))
        value = self.fma(n, self.const(high), self.b.fsub(f, inner))
        value = self.b.select(
            self.b.fcmp_ordered("==", x, self.const(0)), self.const(-math.inf), value
        )
        value = self.b.select(self.less(x, self.const(0)), self.const(math.nan), value)
        infinite = self.b.fcmp_unordered("==", x, self.const(math.inf))  # NaN too
        return self.b.select(infinite, x, value)

    def softplus(self, x: ir.Value) -> ir.Value:
        """max(x, 0) + log1p(E) with E = exp(-|x|), from the series of log1p in s = E / (2 + E)."""
        e = self.exp(self.b.fneg(self.call("fabs", x)))
        s = self.b.fdiv(e, self.b.fadd(e, self.const(2)))
        z = self.b.fmul(s, s)
        # 2 s = E - (half - s half): what is rounded is then small beside E.
        half = self.b.fmul(self.b.fmul(e, e), self.const(0.5))
        inner = self.fma(z, self.polynomial(z, LOG1P[self.form.bits]), half)
        small = self.b.fsub(e, self.fma(self.b.fneg(s), inner, half))
        return self.b.fadd(self.relu(x), small)

    def relu(self, x: ir.Value) -> ir.Value:
        """The larger of x and 0."""
        return self.b.select(self.b.fcmp_ordered("<=", x, self.const(0)), self.const(0), x)

    def maximum(self, a: ir.Value, b: ir.Value) -> ir.Value:
        """The larger; NaN where one of both is."""
        first = self.b.or_(self.less(b, a), self.b.fcmp_unordered("uno", a, a))
        return self.b.select(first, a, b)

    def minimum(self, a: ir.Value, b: ir.Value) -> ir.Value:
        """The smaller; NaN where one of both is."""
        first = self.b.or_(self.less(a, b), self.b.fcmp_unordered("uno", a, a))
        return self.b.select(first, a, b)

    def greater(self, a: ir.Value, b: ir.Value) -> ir.Value:
        """1 where a > b, else 0."""
        return self.b.select(self.less(b, a), self.const(1), self.const(0))

    def where(self, condition: ir.Value, a: ir.Value, b: ir.Value) -> ir.Value:
        """`a` where the condition is not 0, else `b`."""
        return self.b.select(self.b.fcmp_unordered("!=", condition, self.const(0)), a, b)

    def load(self, pointer: ir.Value, count: int | ir.Value, fill: float = 0.0) -> ir.Value:
        """`count` numbers from memory; the other lanes hold `fill`."""
        if isinstance(count, int) and count == self.form.lanes:
            return self.b.load(pointer, align=self.form.size, typ=self.form.vector)
        return self.load_where(self.mask(count), pointer, fill)

    def load_where(self, mask: ir.Value, pointer: ir.Value, fill: float = 0.0) -> ir.Value:
        """The numbers from memory where the mask is true; the other lanes hold `fill`."""
        return self._masked("load", self.form.vector, pointer, mask, self.const(fill))

    def store(self, value: ir.Value, pointer: ir.Value, count: int | ir.Value) -> None:
        """`count` numbers into memory."""
        if isinstance(count, int) and count == self.form.lanes:
            self.b.store(value, pointer, align=self.form.size)
        else:
            self._masked("store", ir.VoidType(), value, pointer, self.mask(count))

    def _masked(self, kind: str, result: ir.Type, *args: ir.Value) -> ir.Value:
        name = f"llvm.masked.{kind}.{self.form.name}.p0"
        align = ir.Constant(ir.IntType(32), self.form.size)
        at = 1 if kind == "load" else 2
        args = (*args[:at], align, *args[at:])
        function = self.b.module.globals.get(name)
        if function is None:
            types = [getattr(arg, "type", None) for arg in args]
            function = ir.Function(self.b.module, ir.FunctionType(result, types), name)
        return self.b.call(function, args)


def reduce_lanes(v: Vectors, vector: ir.Value, combine: Any) -> ir.Value:
    """One scalar from all lanes, by halves."""
    lanes = v.form.lanes
    kind = ir.IntType(32)
    while lanes > 1:
        lanes //= 2
        order = [(k + lanes) % v.form.lanes for k in range(v.form.lanes)]
        mask = ir.Constant(ir.VectorType(kind, v.form.lanes), order)
        vector = combine(vector, v.b.shuffle_vector(vector, vector, mask))
    return v.b.extract_element(vector, ir.Constant(kind, 0))
