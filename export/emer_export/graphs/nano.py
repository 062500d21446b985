"""The two encoders of the pack emer-nano in torch: a face CNN and a voice CNN with its log-mel front end.

What is exported says what the networks conclude (evidence per class) beside the features of the face
(`Vision`) and beside what was measured of the voice (`Audio`): the language model need not find it anew.
Knows shapes and arithmetic only. Does not know labels, losses, files, or how modules are trained or exported.
"""

from __future__ import annotations

import copy
import math

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from emer_export.graphs.voice_measures import MEASURES, VoiceMeasures

EMBEDDING_DIM = 128
CLASSES = 8
VOICES = 3
VISION_DIM = EMBEDDING_DIM + CLASSES
AUDIO_DIM = CLASSES + MEASURES
# Where the evidence per class stands in an embedding.
VISION_EVIDENCE = slice(EMBEDDING_DIM, VISION_DIM)
AUDIO_EVIDENCE = slice(0, CLASSES)
FACE_SIZE = 48
WINDOW_SAMPLES = 32_000
SAMPLE_RATE = 16_000

_FFT, _FRAME, _HOP = 512, 400, 160
_MELS, _LAGS, _LEVEL_STEPS = 64, 48, 12
# The front end counts power in units of -100 dBFS, below the noise of any microphone, so that the floor under
# its logarithms is 1. As a literal 1e-10 the ONNX optimiser takes the floor for zero and drops it.
_FLOOR_DB = -100.0


class ConvNorm(nn.Module):
    """Convolution and batch norm; `folded` turns the pair into one convolution."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int | tuple[int, int] = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False)
        self.norm: nn.Module = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """[n, inputs, h, w] -> [n, outputs, h / stride, w / stride]."""
        return self.norm(self.conv(x))  # type: ignore[no-any-return]


class TimeNorm(nn.Module):
    """Convolution over time, batch norm and ReLU."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv1d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False)
        self.norm: nn.Module = nn.BatchNorm1d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """[n, inputs, t] -> [n, outputs, t / stride]."""
        return torch.relu(self.norm(self.conv(x)))


class Residual(nn.Module):
    """Two 3x3 convolutions round a shortcut (a 1x1 convolution where the shape changes)."""

    def __init__(self, inputs: int, outputs: int, stride: int | tuple[int, int] = 1) -> None:
        super().__init__()
        self.first = ConvNorm(inputs, outputs, 3, stride)
        self.second = ConvNorm(outputs, outputs, 3)
        same = inputs == outputs and stride == 1
        self.shortcut = nn.Identity() if same else ConvNorm(inputs, outputs, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        """[n, inputs, h, w] -> [n, outputs, h / stride, w / stride]."""
        return torch.relu(self.second(torch.relu(self.first(x))) + self.shortcut(x))


class FaceEncoder(nn.Module):
    """Faces to embeddings: frames [n, 3, 48, 48] RGB in -1..1 -> [n, 128], each row of unit variance."""

    grey: Tensor

    def __init__(self) -> None:
        super().__init__()
        # ITU-R BT.601 luma. FER+ is grey, so colour could only teach the network which corpus a face is from.
        self.register_buffer("grey", torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1), persistent=False)
        self.body = nn.Sequential(
            ConvNorm(1, 32, 5, 2),
            nn.ReLU(),
            Residual(32, 32),
            Residual(32, 64, 2),
            Residual(64, 128, 2),
            Residual(128, 224, 2),
        )
        self.dropout = nn.Dropout(0.2)
        self.project = nn.Linear(224, EMBEDDING_DIM)
        self.norm = nn.LayerNorm(EMBEDDING_DIM, elementwise_affine=False)

    def forward(self, frames: Tensor) -> Tensor:
        """frames float32 [n, 3, 48, 48] -> embeddings float32 [n, 128]."""
        return self.embed_grey((frames * self.grey).sum(1, keepdim=True))

    def embed_grey(self, faces: Tensor) -> Tensor:
        """Grey faces float32 [n, 1, 48, 48] in -1..1 -> embeddings [n, 128]."""
        # Each face is brought to its own mean and contrast: exposure says nothing about feeling.
        centred = faces - faces.mean((2, 3), keepdim=True)
        contrast = torch.sqrt((centred * centred).mean((2, 3), keepdim=True) + 1e-3)
        pooled = self.body(centred / contrast).mean((2, 3))
        return self.norm(self.project(self.dropout(pooled)))  # type: ignore[no-any-return]


class VoiceFrontEnd(nn.Module):
    """Waveform to log-mel bands, pitch-lag profile and level; every weight is fixed.

    25 ms Hann frames every 10 ms. The level is divided out of the bands and returned beside them, so that a
    quiet voice looks like a loud one to the convolutions while its loudness still reaches the embedding.
    """

    basis: Tensor
    mel: Tensor
    lags: Tensor

    def __init__(self) -> None:
        super().__init__()
        bins = _FFT // 2 + 1
        window = torch.hann_window(_FRAME, periodic=True, dtype=torch.float64)
        angle = 2 * math.pi * torch.outer(torch.arange(bins), torch.arange(_FRAME)).double() / _FFT
        # Scaled so that power summed over the bins is the mean square of the frame, in units of the floor.
        scale = math.sqrt(2.0 / (_FFT * float((window**2).sum()) * 10 ** (_FLOOR_DB / 10)))
        basis = torch.cat([torch.cos(angle), -torch.sin(angle)]) * window * scale
        # Three hops hold a frame, so framing is a reshape and the transform one matrix product.
        padded = nn.functional.pad(basis, (0, 3 * _HOP - _FRAME)).T.contiguous()
        self.register_buffer("basis", padded.float(), persistent=False)
        self.register_buffer("mel", _mel_bands(bins).float(), persistent=False)
        self.register_buffer("lags", _lag_profile(bins).float(), persistent=False)

    def forward(self, windows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """windows [n, 32000] -> bands [n, 64, 198], pitch and frame level [n, 49, 198], level [n, 1]."""
        hops = windows.view(-1, WINDOW_SAMPLES // _HOP, _HOP)
        frames = torch.cat([hops[:, :-2], hops[:, 1:-1], hops[:, 2:]], 2)
        real, imaginary = torch.matmul(frames, self.basis).transpose(1, 2).chunk(2, 1)
        power = real * real + imaginary * imaginary
        frame_power = power.sum(1, keepdim=True)
        level = 10 * torch.log10(frame_power.mean(2, keepdim=True) + 1)
        bands = 10 * torch.log10(torch.matmul(self.mel, power) + 1) - level
        frame_level = 10 * torch.log10(frame_power + 1) - level
        # A cube root of the power flattens formants; its cosine transform then peaks at the pitch period.
        flat = (power + 0.01) ** (1 / 3)
        profile = torch.matmul(self.lags, flat) / flat[:, 2:100].sum(1, keepdim=True)
        bands = torch.clamp(bands, min=-70.0) / 20 + 1.0
        extra = torch.cat([profile * 4, torch.clamp(frame_level, min=-60.0) / 20], 1)
        return bands, extra, (level.squeeze(2) + _FLOOR_DB + 40) / 20


class VoiceEncoder(nn.Module):
    """Waveforms to embeddings: windows [n, 32000], 16 kHz mono, mean removed -> [n, 128], unit variance.

    `width` scales the channels, in steps of eight; the pack's networks have 1.
    """

    thresholds: Tensor

    def __init__(self, width: float = 1.0) -> None:
        super().__init__()
        first, second, third, last, pitch, joint = (
            8 * max(1, math.floor(count * width / 8 + 0.5)) for count in (16, 24, 48, 96, 64, 192)
        )
        self.front = VoiceFrontEnd()
        self.register_buffer("thresholds", torch.linspace(-1.8, 1.5, _LEVEL_STEPS), persistent=False)
        self.body = nn.Sequential(
            ConvNorm(2, first, 5, 2),
            nn.ReLU(),
            Residual(first, second, 2),
            Residual(second, third, 2),
            Residual(third, last, (2, 1)),
        )
        self.prosody = nn.Sequential(TimeNorm(_LAGS + 1, pitch, 5, 2), TimeNorm(pitch, pitch, 7, 4))
        self.join = nn.Sequential(TimeNorm(last * 4 + pitch, joint, 3), TimeNorm(joint, joint, 3))
        self.attention = nn.Conv1d(joint, 1, 1)
        self.dropout = nn.Dropout(0.1)
        self.project = nn.Linear(joint * 3 + _LEVEL_STEPS, EMBEDDING_DIM)
        self.norm = nn.LayerNorm(EMBEDDING_DIM, elementwise_affine=False)

    def forward(self, windows: Tensor) -> Tensor:
        """windows float32 [n, 32000] -> embeddings float32 [n, 128]."""
        with torch.no_grad():
            bands, extra, level = self.front(windows)
        return self.embed_features(bands, extra, level)

    def embed_features(self, bands: Tensor, extra: Tensor, level: Tensor) -> Tensor:
        """What the front end returns -> embeddings [n, 128]; training masks the bands in between."""
        # Beside the spectrum, the spectrum without its mean over time: without the microphone and the throat.
        both = torch.stack([bands, bands - bands.mean(2, keepdim=True)], 1)
        spectral = self.body(both).flatten(1, 2)
        frames = self.join(torch.cat([spectral, self.prosody(extra)], 1))
        weights = torch.softmax(self.attention(frames), 2)
        mean = frames.mean(2)
        spread = torch.sqrt(((frames - mean.unsqueeze(2)) ** 2).mean(2) + 1e-5)
        pooled = torch.cat([(frames * weights).sum(2), mean, spread], 1)
        # Soft steps 6 dB apart from -76 to -10 dBFS: a single number would drown among 576 others.
        steps = torch.tanh((level - self.thresholds) * 2.5)
        return self.norm(self.project(torch.cat([self.dropout(pooled), steps], 1)))  # type: ignore[no-any-return]


def _evidence(logs: Tensor) -> Tensor:
    """Log shares [n, 8] to about unit scale: from -1.5 (hardly) to 1 (certainly)."""
    return torch.clamp(logs, min=-5.0) / 2 + 1


class Vision(nn.Module):
    """Frames to embeddings: features of the face and evidence per class, [n, 3, 48, 48] -> [n, 136].

    Every face is seen as it is and mirrored, and the features are the mean of both: what a face feels has no
    left and right.
    """

    def __init__(self) -> None:
        super().__init__()
        self.encoder = FaceEncoder()
        self.head = nn.Linear(EMBEDDING_DIM, CLASSES)

    def forward(self, frames: Tensor) -> Tensor:
        """frames float32 [n, 3, 48, 48] -> embeddings float32 [n, 136]."""
        both = self.encoder(torch.cat([frames, frames.flip(3)]))
        features = both.view(2, -1, EMBEDDING_DIM).mean(0)
        return torch.cat([features, _evidence(torch.log_softmax(self.head(features), 1))], 1)


class Audio(nn.Module):
    """Waveforms to embeddings: evidence per class and measures; [n, 32000] -> [n, 61].

    The evidence is the mean of several networks that differ in their seeds alone (a deep ensemble,
    Lakshminarayanan et al. 2017): voices of another language and studio are read better, and with less false
    certainty, by several than by one. Features are left out: from the few voices there are, a language model
    learns to know the speakers by them, and then reads new ones worse than the networks do.
    """

    def __init__(self, members: int = VOICES) -> None:
        super().__init__()
        self.front = VoiceFrontEnd()
        self.encoders = nn.ModuleList(VoiceEncoder() for _ in range(members))
        self.heads = nn.ModuleList(nn.Linear(EMBEDDING_DIM, CLASSES) for _ in range(members))
        self.measures = VoiceMeasures()

    def forward(self, windows: Tensor) -> Tensor:
        """windows float32 [n, 32000], 16 kHz mono -> embeddings float32 [n, 61]."""
        spectrum = self.front(windows)
        features = [encoder.embed_features(*spectrum) for encoder in self.encoders]  # type: ignore[operator]
        logs = [torch.log_softmax(head(f), 1) for head, f in zip(self.heads, features, strict=True)]
        mean = torch.logsumexp(torch.stack(logs), 0) - math.log(len(logs))
        return torch.cat([_evidence(mean), self.measures(windows)], 1)


def _mel_bands(bins: int) -> Tensor:
    """Triangular bands on the HTK mel scale from 50 to 7600 Hz, float64 [64, bins]."""
    edges_mel = torch.linspace(_hertz_to_mel(50.0), _hertz_to_mel(7600.0), _MELS + 2, dtype=torch.float64)
    edges = 700 * (10 ** (edges_mel / 2595) - 1)
    hertz = torch.arange(bins, dtype=torch.float64) * SAMPLE_RATE / _FFT
    rising = (hertz - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - hertz) / (edges[2:] - edges[1:-1])[:, None]
    bands = torch.clamp(torch.minimum(rising, falling), min=0)
    # The lowest bands are narrower than a bin and may fall between two: they borrow the nearest bin.
    for band in torch.nonzero(bands.sum(1) < 1e-3).flatten().tolist():
        bands[band, int(torch.argmin((hertz - edges[band + 1]).abs()))] = 0.5
    return bands


def _hertz_to_mel(hertz: float) -> float:
    return 2595 * math.log10(1 + hertz / 700)


def _lag_profile(bins: int) -> Tensor:
    """Cosines from spectrum to autocorrelation at 48 log-spaced pitch periods, 65 to 520 Hz, [48, bins]."""
    hertz = torch.arange(bins, dtype=torch.float64) * SAMPLE_RATE / _FFT
    pitches = 65.0 * 2 ** torch.linspace(0, 3, _LAGS, dtype=torch.float64)
    cosines = torch.cos(2 * math.pi * hertz[None, :] / pitches[:, None])
    # Harmonics above 3 kHz are noise in most voices.
    return cosines * ((hertz > 60) & (hertz < 3100))


def folded(module: nn.Module) -> nn.Module:
    """Return a copy in eval mode whose batch norms are folded into their convolutions."""
    result = copy.deepcopy(module).eval()
    for part in result.modules():
        if isinstance(part, (ConvNorm, TimeNorm)) and isinstance(part.norm, (nn.BatchNorm1d, nn.BatchNorm2d)):
            part.conv = fuse_conv_bn_eval(part.conv, part.norm)
            part.norm = nn.Identity()
    return result
