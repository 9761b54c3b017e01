"""Vision towers: patches become tokens, and layers attend to all of them.

Letters: B images, P patches and T tokens of each, D hidden, N heads. The pixels that a patch is
made of are read as they lie, in the activations' format.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from memorywall.core.axes import Axes, named, unnamed
from memorywall.core.errors import InvalidInputError
from memorywall.core.forward import Forward
from memorywall.core.geometry import Conv, Elementwise, Space
from memorywall.core.images import written
from memorywall.core.program import Block
from memorywall.core.tensors import Tensor
from memorywall.core.traits import Images
from memorywall.layers.element_costs import FLOPS_PER_ELEMENT
from memorywall.layers.tape import NOTHING, Attention, FeedForward, Tape


@dataclass(frozen=True, slots=True)
class Patches:
    """How an image is cut into patches, each a token.

    Attributes:
        image_size: height and width that positions were learned for.
        size: height and width of a patch.
        channels: numbers of a pixel.
        bias: whether the layer that embeds a patch has one.
        linear: whether that is a linear layer; else a convolution that strides by a patch.
        frames: images that a patch reaches through; a still image is repeated for it.
        resized: whether every image is first made as large as ``image_size``.
    """

    image_size: tuple[int, int]
    size: tuple[int, int]
    channels: int = 3
    bias: bool = True
    linear: bool = False
    frames: int = 1
    resized: bool = False

    def grid(self, height: int, width: int) -> tuple[int, int]:
        """Return rows and columns of patches; pixels past the last whole patch are left out.

        Raises:
            InvalidInputError: the image is smaller than a patch.
        """
        height, width = self.looked_at(height, width)
        if height < self.size[0] or width < self.size[1]:
            raise InvalidInputError(
                f"image_size: {written((height, width))} pixels are less than a patch of "
                f"{written(self.size)}."
            )
        return height // self.size[0], width // self.size[1]

    def looked_at(self, height: int, width: int) -> tuple[int, int]:
        """Return the height and width that an image has when it is cut."""
        return self.image_size if self.resized else (height, width)

    def notes(self, height: int, width: int) -> tuple[str, ...]:
        """Return what to know where an image is resized, or patches do not divide it."""
        if self.resized:
            if (height, width) == self.image_size:
                return ()
            return (f"Every image is resized to {written(self.image_size)} pixels.",)
        rows, columns = self.grid(height, width)
        covered = (rows * self.size[0], columns * self.size[1])
        if covered == (height, width):
            return ()
        image = written((height, width))
        return (f"Patches cover {written(covered)} of {image} pixels; the rest is left out.",)

    @property
    def area(self) -> int:
        """Numbers that a patch is made of."""
        return self.frames * self.channels * self.size[0] * self.size[1]


@dataclass(frozen=True, slots=True)
class VisionLayers:
    """Layers of one shape, each half behind a norm.

    Attributes:
        scaled: whether each half's output is multiplied by a learned vector before it is added.
        distances: rows of a table of relative positions, which is added to the scores; 0 for none.
        shared_distances: whether all layers share one such table.
        norms_after: whether a norm also stands after each half.
    """

    hidden_size: int
    layers: int
    attention: Attention
    mlp: FeedForward
    norm: str = "layernorm"
    scaled: bool = False
    distances: int = 0
    shared_distances: bool = False
    norms_after: bool = False


@dataclass(frozen=True, slots=True)
class Tower:
    """The tower from an image to hidden states [T, D].

    Attributes:
        tokens: learned tokens before the patches: of a class, of a teacher, registers.
        placed: how many of those have a learned position.
        positions: whether patches have learned positions, interpolated for images of another size.
        unread: learned numbers that no pass over an image reads, such as a token that masks.
        first_norm: whether a norm stands before the layers.
        sides: rows of each of two tables of positions, one for rows of patches and one for columns,
            instead of one for all patches; 0 for none.
    """

    patches: Patches
    stack: VisionLayers
    tokens: int = 0
    placed: int = 0
    positions: bool = True
    unread: int = 0
    first_norm: bool = False
    sides: int = 0

    def image_tokens(self, height: int, width: int) -> int:
        """Tokens of an image of a size in pixels."""
        rows, columns = self.patches.grid(height, width)
        return self.tokens + rows * columns

    def image_notes(self, height: int, width: int) -> tuple[str, ...]:
        """Return notes on images of a size."""
        notes = self.patches.notes(height, width)
        if self.interpolates(height, width):
            made = written(self.patches.image_size)
            notes = (*notes, f"Learned positions are interpolated from {made}; no FLOP is counted.")
        return notes

    def seen(self, *, with_text: bool = False) -> Images:
        """Return its images, as a trait."""
        return Images(
            self.patches.image_size,
            self.image_tokens,
            with_text,
            self.image_notes,
            self.patches.looked_at,
        )

    def interpolates(self, height: int, width: int) -> bool:
        """Whether positions were learned for another number of patches."""
        learned = (self.positions and not self.sides) or bool(self.stack.distances)
        made = self.patches.grid(*self.patches.image_size)
        return learned and self.patches.grid(height, width) != made


def resized(tower: Tower) -> Tower:
    """Return a tower whose images are all resized to what it was made for."""
    return replace(tower, patches=replace(tower.patches, resized=True))


def lower_tower(tower: Tower, forward: Forward, prefix: str = "") -> tuple[list[Block], Tensor]:
    """Return the blocks of a tower, and its hidden states [B T, D]; ``forward`` is of images."""
    hidden = Tensor(
        f"{prefix}hidden",
        forward.row_axes + named(hidden=tower.stack.hidden_size),
        forward.activations,
    )
    blocks = [_embed(tower, forward, hidden, prefix)]
    bias = None
    if tower.stack.shared_distances:
        tape = Tape(forward, f"{prefix}distances")
        bias = _distances(tape, tower.stack)
        blocks.append(tape.close())
    return [*blocks, lower_stack(tower.stack, forward, hidden, prefix, bias=bias)], hidden


def _embed(tower: Tower, forward: Forward, hidden: Tensor, prefix: str) -> Block:
    """Embed the patches, put the learned tokens before them, and add positions: [B T, D]."""
    tape, width = Tape(forward, f"{prefix}embeddings"), hidden.row_axes
    x = patches(tape, tower.patches, forward, width)
    reads: tuple[Tensor, ...] = (x,)
    if tower.tokens:
        reads = (*reads, tape.weight("tokens", named(positions=tower.tokens) + width))
    if tower.positions:
        reads = (*reads, _positions(tape, tower, forward))
    out = tape.like("placed", hidden) if tower.first_norm else hidden
    if tower.positions:
        placed = forward.tokens - tower.tokens + tower.placed
        space = Space(1, named(batch=forward.batch, tokens=placed) + width)
        tape.op("positions_add", Elementwise((space,), "add"), reads, out)
        x = out
    elif tower.tokens:
        x = tape.move("tokens", reads, out)
    if tower.first_norm:
        tape.norm("norm", x, tower.stack.norm, out=hidden)
    tape.ops[-1].writes = (hidden,)
    if tower.unread:
        tape.ops[0].reads += (tape.weight("unread", unnamed(tower.unread), touched=NOTHING),)
    return tape.close()


def patches(tape: Tape, cut: Patches, forward: Forward, width: Axes) -> Tensor:
    """Note the layer that embeds patches: 2 area D FLOPs each; [B P, area] in, [B P, D] out."""
    rows, columns = cut.grid(*forward.image_size)
    each = named(batch=forward.batch, tokens=rows * columns)
    inner = named(pixels=cut.area)
    pixels = tape.activation("pixels", each + inner)
    if cut.linear:
        return tape.linear("patches", pixels, width, cut.bias)
    out = tape.activation("patches", each + width)
    reads: tuple[Tensor, ...] = (pixels, tape.weight("patches.weight", width + inner))
    if cut.bias:
        reads = (*reads, tape.weight("patches.bias", width))
    tape.op("patches", Conv((Space(2, out.axes + inner),), 1, ("pixels",)), reads, out)
    return out


def _positions(tape: Tape, tower: Tower, forward: Forward) -> Tensor:
    """Return the rows of positions, interpolated for images of another size."""
    width = named(hidden=tower.stack.hidden_size)
    if tower.sides:
        rows, columns = tower.patches.grid(*forward.image_size)
        out = tape.activation("positions", named(positions=rows * columns) + width)
        tables = (("positions_x", columns), ("positions_y", rows))
        return tape.embed(
            "positions", out, *((name, ("positions", tower.sides), n) for name, n in tables)
        )
    rows, columns = tower.patches.grid(*tower.patches.image_size)
    every = named(positions=rows * columns + tower.placed)
    table = tape.weight("positions.weight", every + width)
    if not tower.interpolates(*forward.image_size):
        return table
    rows, columns = tower.patches.grid(*forward.image_size)
    every = named(positions=rows * columns + tower.placed)
    return tape.move("positions_resize", (table,), tape.activation("positions", every + width))


def _distances(tape: Tape, stack: VisionLayers) -> Tensor:
    """Make the bias [N, T T] of all pairs from a table of distances, which is read whole."""
    tokens, heads = tape.forward.tokens, ("heads", stack.attention.heads)
    bias = tape.activation("bias", (heads, ("tokens", tokens), ("keys", tokens)), 2)
    table = tape.weight("distances.weight", (("positions", stack.distances), heads))
    return tape.move("distances", (table,), bias, "positions")


def lower_stack(
    stack: VisionLayers,
    forward: Forward,
    hidden: Tensor,
    prefix: str = "",
    *,
    bias: Tensor | None = None,
) -> Block:
    """Note the layers of a stack over hidden [B T, D]; ``bias`` is added to the scores."""
    tape = Tape(forward, f"{prefix}layers")
    if stack.distances and not stack.shared_distances:
        bias = _distances(tape, stack)
    middle = tape.like("middle", hidden)
    x = tape.norm("attention_norm", hidden, stack.norm)
    x = tape.self_attention(x, stack.attention, mask=bias)
    x = tape.norm("attention_post_norm", x, stack.norm) if stack.norms_after else x
    _add(tape, stack, "attention", hidden, x, middle)
    x = tape.norm("mlp_norm", middle, stack.norm)
    x = tape.feed_forward(x, stack.mlp)
    x = tape.norm("mlp_post_norm", x, stack.norm) if stack.norms_after else x
    _add(tape, stack, "mlp", middle, x, hidden)
    return tape.close(stack.layers, layers=tuple(range(stack.layers)))


def _add(tape: Tape, stack: VisionLayers, half: str, x: Tensor, y: Tensor, out: Tensor) -> None:
    """Note out = x + y, y times a learned vector where the stack has one."""
    if stack.scaled:
        scaled = tape.like(f"{half}_scale", y)
        vector = tape.weight(f"{half}_scale.weight", y.row_axes)
        geometry = Elementwise((Space(FLOPS_PER_ELEMENT["scale"], y.axes),), "scale", (0,))
        tape.op(f"{half}_scale", geometry, (y, vector), scaled)
        y = scaled
    tape.add(f"{half}_add", x, y, out=out)


def of_images(forward: Forward, tower: Tower) -> Forward:
    """Return the part of a pass that a tower runs: its images, each of a number of tokens."""
    return forward.of_images(tower.image_tokens(*forward.image_size))


def looking(forward: Forward) -> Forward:
    """Return a pass in which the towers do not run where there is no image."""
    if isinstance(forward.images, int) and not forward.images:
        return replace(forward, stacks="decoder")
    return forward
