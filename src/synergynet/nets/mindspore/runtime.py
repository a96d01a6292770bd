"""How MindSpore runs in this process."""

import contextlib

import mindspore


def use_threads(count: int) -> None:
    """Threads for kernels and their dispatch, 25 otherwise; only a process's first call counts."""
    with contextlib.suppress(RuntimeError):  # "can not be set repeatedly"
        mindspore.device_context.cpu.op_tuning.threads_num(count)
        mindspore.runtime.dispatch_threads_num(count)
