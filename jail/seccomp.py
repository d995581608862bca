"""From a policy to a seccomp filter, by libseccomp."""

from __future__ import annotations

import pyseccomp

from jail.errors import PolicyError, SetUpError
from jail.layers import Layer
from jail.policy import Condition, Operator, Policy

_OPERATORS = {
    Operator.EQUAL: pyseccomp.EQ,
    Operator.UNEQUAL: pyseccomp.NE,
    Operator.LESS: pyseccomp.LT,
    Operator.AT_MOST: pyseccomp.LE,
    Operator.MORE: pyseccomp.GT,
    Operator.AT_LEAST: pyseccomp.GE,
}
_UNKNOWN = -1
"""What libseccomp answers for a name that is no system call (``__NR_SCMP_ERROR``)."""


def compile_filter(policy: Policy) -> pyseccomp.SyscallFilter:
    """A filter that kills the process on whatever ``policy`` does not name.

    Another architecture's entry points and x32's are checked first, and kill too: libseccomp does so for a filter of
    the native architecture alone.
    """
    compiled = pyseccomp.SyscallFilter(pyseccomp.KILL_PROCESS)
    compiled.set_attr(pyseccomp.Attr.ACT_BADARCH, pyseccomp.KILL_PROCESS)
    compiled.set_attr(pyseccomp.Attr.CTL_NNP, 0)  # a layer of its own
    for rule in policy.rules:
        number = pyseccomp.resolve_syscall(pyseccomp.Arch.NATIVE, rule.call)
        if number == _UNKNOWN:
            raise PolicyError(rule.path, rule.line, f"{rule.call} is not a system call")
        if number < 0:
            continue  # libseccomp's number for a call that this architecture does not have
        action = pyseccomp.ALLOW if rule.errno is None else pyseccomp.ERRNO(rule.errno)
        for conditions in rule.alternatives or ((),):
            try:
                compiled.add_rule_exactly(action, number, *map(_argument, conditions))
            except OSError as error:
                raise PolicyError(rule.path, rule.line, f"libseccomp refuses it: {error}") from error
    return compiled


def _argument(condition: Condition) -> pyseccomp.Arg:
    if condition.operator is Operator.MASKED:
        return pyseccomp.Arg(condition.argument, pyseccomp.MASKED_EQ, condition.mask, condition.value)
    return pyseccomp.Arg(condition.argument, _OPERATORS[condition.operator], condition.value)


def enter(compiled: pyseccomp.SyscallFilter) -> None:
    """Put this process under the filter, for good."""
    try:
        compiled.load()
    except OSError as error:
        raise SetUpError(
            Layer.SECCOMP, str(error), "keep the layer no_new_privs, on a kernel with CONFIG_SECCOMP_FILTER"
        ) from error
