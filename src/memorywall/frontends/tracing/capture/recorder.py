"""Record training steps: storages by phase and module, and operators."""

from __future__ import annotations

import sys
from pathlib import Path
from types import FrameType
from typing import Any

import torch

from memorywall.core.training import Moment, StepStage
from memorywall.frontends.tracing.capture.dispatch import Recorder
from memorywall.frontends.tracing.capture.fake_tensors import check_dense
from memorywall.frontends.tracing.capture.module_calls import Frames
from memorywall.frontends.tracing.capture.output_shapes import GROUPED, grouped
from memorywall.frontends.tracing.capture.step_operators import Step, states_of
from memorywall.frontends.tracing.capture.storages import StorageLedger
from memorywall.frontends.tracing.interpret.calls import Call
from memorywall.frontends.tracing.interpret.events import Frame

# Between autograd's engine and an operator that it runs there are only frames of the recorder.
_MACHINERY = (str(Path(__file__).parent), str(Path(torch.__file__).parent))
_NO_WORK = ("prim", "profiler")  # operators that query a tensor, or mark a place
_READ = torch.ops.aten._local_scalar_dense.default  # noqa: SLF001 - called by .item() and bool()


class TrainingRecorder(Recorder):
    """Records the storages of training steps, on real or fake tensors, without changing the run.

    Args:
        module: the trained module.
        step: records the operators of the last step.
        steps: their number.

    Attributes:
        ledger: the storages.
        phase: the current phase; set by ``enter``.
        optimizer: gives the names of states; None before it is built.
        loss: the kind of loss; "" before the first backward pass.
        reads: the number of values of fake tensors that the optimizer read, each taken as 1.
        failure: the ``id`` of the latest error in a module or an operator, and its path. The error
            itself would hold frames, and frames tensors.
    """

    def __init__(self, module: torch.nn.Module, step: Step, steps: int) -> None:
        super().__init__(module, self._see)
        self.ledger = StorageLedger()
        self.phase: StepStage = "setup"
        self.optimizer: torch.optim.Optimizer | None = None
        self.loss = ""
        self.reads = 0
        self.failure: tuple[int, str] = (0, "")
        self._module = module
        self._step = step
        self._left = steps + 1  # of the steps, and of the end
        self._frames = Frames()
        self._note_weights()
        for name, buffer in module.named_buffers():
            self.ledger.note(buffer, _owner(name), "buffers")

    def enter(self, phase: StepStage) -> None:
        """Begin another phase: set the roles of arrays that the last phase left."""
        if self.phase == "forward":
            self.ledger.settle("activations", "forward")
        elif self.phase == "backward":
            self._settle_gradients()
        else:
            self._note_weights()  # an optimizer may have replaced them by new arrays
            self.ledger.settle("optimizer_states", "setup", "optimizer")
            if (
                self.phase == "setup"
            ):  # arrays of a batch are freed: the remaining ones were made in hooks
                self.ledger.settle("optimizer_states", "backward")
            self._settle_owners()
        self.phase = phase
        if phase == "setup":
            self._left -= 1
            self._frames.restart()
        if self._left <= 1:
            self._step.enter(phase, self.optimizer)

    def execute(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run an operator; an optimizer that reads a value gets 1."""
        try:
            if func is GROUPED:
                return grouped(*args, **kwargs)
            return super().execute(func, args, kwargs)
        except Exception as error:
            if func is _READ and self.phase == "optimizer":
                return self._assumed(args[0])
            self._failed(error, self._frame().path)
            raise

    def _assumed(self, tensor: torch.Tensor) -> Any:
        """Return 1 for a value that a fake tensor does not have."""
        self.reads += 1
        if tensor.dtype == torch.bool:
            return True
        return 1.0 if tensor.dtype.is_floating_point else 1

    def _see(self, call: Call) -> None:
        if call.op.namespace in _NO_WORK:
            return
        recorded = torch.is_grad_enabled()
        frame = self._frame(call)
        self._frames.remember(frame)
        for tensor in call.outputs:
            check_dense(tensor, f"{frame.path or 'the module'}, {self.phase}")
        self.ledger.advance(Moment(self.phase, str(call.op), frame.path), recorded=recorded)
        if self.phase == "backward" and not recorded and _sums_gradients(call):
            self.ledger.overwrite(call.inputs[0])
        for tensor in call.outputs:
            self.ledger.note(tensor, frame.path)
        if self._left == 1:
            self._step.note(call, frame)

    def _frame(self, call: Call | None = None) -> Frame:
        """Return the module call of an operator."""
        if self.phase == "backward":
            return self._frames.back()
        if self.phase != "optimizer" or call is None:
            return self._frames.here
        owners = (self.ledger.module_of(tensor) for tensor in call.inputs)
        return self._frames.owner(next(filter(None, owners), ""))

    def _note_weights(self) -> None:
        for name, weight in self._module.named_parameters():
            self.ledger.note(weight, _owner(name), "weights")

    def _settle_owners(self) -> None:
        """Set the weight of states that an optimizer creates without inputs, as step counts."""
        if self.optimizer is not None:
            names = {weight: name for name, weight in self._module.named_parameters()}
            for name, _, state in states_of(self.optimizer, names):
                self.ledger.belongs(state, _owner(name))

    def _settle_gradients(self) -> None:
        for name, weight in self._module.named_parameters():
            if weight.grad is not None:
                self.ledger.note(weight.grad, _owner(name), "gradients")

    def _enter(self, module: torch.nn.Module, args: object) -> None:
        super()._enter(module, args)
        self._frames.enter(self.path)

    def _leave(self, module: torch.nn.Module, args: object, out: object) -> None:
        error = sys.exc_info()[1]  # hooks are also called when an error propagates
        if error is not None:
            self._failed(error, self.path)
        super()._leave(module, args, out)
        self._frames.leave()

    def _failed(self, error: BaseException, path: str) -> None:
        if self.failure[0] != id(error):  # the innermost module is left first
            self.failure = (id(error), path)


def _sums_gradients(call: Call) -> bool:
    """Return whether autograd accumulates a gradient: in place, except into views.

    Under a mode like this one it accumulates out of place (``can_accumulate_inplace`` in
    torch/csrc/autograd/input_buffer.cpp), which would add an array to the trace.
    """
    if call.op is not torch.ops.aten.add.Tensor or len(call.inputs) != 2:
        return False
    held, new = call.inputs
    alike = held.shape == new.shape and not held._is_view()  # noqa: SLF001
    return alike and _is_autograds_own()


def _is_autograds_own() -> bool:
    """Return whether autograd's engine runs an operator, not a Function's code or a hook."""
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 - the only way to see the caller
    while frame is not None and frame.f_code.co_name != "_engine_run_backward":
        code = frame.f_code
        if code.co_name == "apply" or not code.co_filename.startswith(_MACHINERY):
            return False
        frame = frame.f_back
    return True


def _owner(name: str) -> str:
    """Return the path of the module that holds a parameter."""
    return name.rpartition(".")[0]
