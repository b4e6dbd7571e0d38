"""What a picture looks like decoded."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from tiny import encoded, picture

from al_core.pictures.decoding import decode
from al_core.pictures.square import Square, by_pillow, by_torch, scaling


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (Image.new("L", (8, 8), 70), (70, 70, 70)),
        (Image.new("1", (8, 8), 1), (255, 255, 255)),
        (Image.new("LA", (8, 8), (0, 0)), (255, 255, 255)),
        (Image.new("RGBA", (8, 8), (255, 0, 0, 255)), (255, 0, 0)),
        (Image.new("RGBA", (8, 8), (255, 0, 0, 0)), (255, 255, 255)),
        (Image.new("RGBA", (8, 8), (0, 0, 0, 51)), (204, 204, 204)),
        (Image.new("RGB", (8, 8), (9, 200, 3)).convert("P", palette=1), (9, 200, 3)),
        (Image.fromarray(np.full((8, 8), 32768, dtype=np.uint16)), (128, 128, 128)),
        (Image.fromarray(np.full((8, 8), 300, dtype=np.uint16)), (75, 75, 75)),
    ],
)
def test_every_kind_of_png_becomes_rgb(image, expected):
    pixels = decode(encoded(image), Square(8))
    assert pixels.dtype == np.uint8
    assert pixels.shape == (3, 8, 8)
    assert pixels[:, 4, 4].tolist() == list(expected)


def test_a_transparent_palette_lies_on_white():
    image = Image.new("P", (8, 8), 0)
    image.putpalette([200, 0, 0])
    assert decode(encoded(image, transparency=0), Square(8))[:, 0, 0].tolist() == [255, 255, 255]


@pytest.mark.parametrize(("value", "expected"), [(0.5, 128), (1.0, 255), (32768.0, 128)])
def test_floats_are_scaled_by_their_range(value, expected):
    tiff = encoded(Image.fromarray(np.full((8, 8), value, dtype=np.float32)), "TIFF")
    assert decode(tiff, Square(8))[0, 0, 0] == expected


def test_cmyk_becomes_rgb():
    red, green, blue = decode(
        encoded(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "JPEG"), Square(8)
    )
    assert red.min() > 240
    assert max(green.max(), blue.max()) < 15


def test_a_rotation_noted_by_the_camera_is_applied():
    image = picture(0)
    image.paste((255, 255, 255), (0, 0, 8, 4))  # white above
    exif = Image.Exif()
    exif[0x0112] = 6  # turn right to see it as it was
    pixels = decode(encoded(image, exif=exif), Square(8))
    assert pixels[0, :, 7].min() == 255
    assert pixels[0, :, 0].max() == 0


def test_the_first_frame_of_an_animation_counts():
    gif = encoded(picture(50), "GIF", save_all=True, append_images=[picture(90)])
    assert decode(gif, Square(8))[0, 0, 0] == 50


def test_all_of_a_long_picture_is_kept():
    image = picture(0, (40, 20))
    image.paste((200, 200, 200), (0, 0, 20, 20))
    flip = Image.Transpose.TRANSPOSE
    lying, standing = (decode(encoded(one), Square(20)) for one in (image, image.transpose(flip)))
    assert (standing == lying.transpose(0, 2, 1)).all()
    assert (lying[:, 5:15, :8] > 190).all()
    assert (lying[:, 5:15, 12:] < 10).all()
    beside = np.concatenate([lying[:, :5], lying[:, 15:]], axis=1)
    assert 50 < beside.min() <= beside.max() < 150  # an even grey, and no part of the picture


def test_pixels_of_the_right_size_are_left_alone():
    noise = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    assert (decode(encoded(Image.fromarray(noise)), Square(8)) == noise.transpose(2, 0, 1)).all()


@pytest.mark.parametrize("size", [(97, 73), (224, 168), (12, 9)])
def test_torch_scales_as_pillow_does(size):
    noise = np.random.default_rng(0).integers(0, 256, (180, 240, 3), dtype=np.uint8)
    image = Image.fromarray(noise)
    ours, theirs = (np.asarray(by(image, size), np.int16) for by in (by_torch, by_pillow))
    assert ours.shape == theirs.shape
    assert np.abs(ours - theirs).max() <= 1
    assert np.mean(ours != theirs) < 0.02


@pytest.mark.parametrize("problem", [ValueError, NotImplementedError])
def test_a_torch_that_does_not_know_the_filter_leaves_scaling_to_pillow(problem, monkeypatch):
    def refuse(*_, **__):
        raise problem("only bilinear and bicubic")

    monkeypatch.setattr("torch.nn.functional.interpolate", refuse)
    scaling.cache_clear()
    image = Image.effect_noise((64, 64), 90).convert("RGB")
    try:
        pixels, called = decode(encoded(image), Square(32)), scaling()[0]
    finally:
        scaling.cache_clear()
    assert (pixels == np.asarray(by_pillow(image, (32, 32))).transpose(2, 0, 1)).all()
    assert called == "by pillow"  # other embeddings than by torch


@given(
    st.sampled_from(["1", "L", "LA", "P", "RGB", "RGBA", "I;16"]),
    st.integers(1, 40),
    st.integers(1, 40),
    st.integers(8, 24),
)
def test_any_picture_takes_the_asked_shape(mode, width, height, size):
    assert decode(encoded(Image.new(mode, (width, height))), Square(size)).shape == (3, size, size)
