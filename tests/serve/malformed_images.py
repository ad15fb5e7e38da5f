"""Image files as they should not come, made byte by byte, and unusual ones that are fine."""

import io
import struct
import zipfile
import zlib
from collections.abc import Callable

from PIL import Image, ImageCms

WIDTH, HEIGHT = 64, 48
TEAL = (0, 128, 128)
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def photo(mode: str = "RGB", colour: object = TEAL) -> Image.Image:
    return Image.new(mode, (WIDTH, HEIGHT), colour)  # type: ignore[arg-type]


def encode(image: Image.Image, form: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def noisy() -> Image.Image:
    """A photo whose file has many bytes to lose."""
    gradient = Image.linear_gradient("L").resize((WIDTH, HEIGHT))
    return Image.merge("RGB", (gradient, gradient.rotate(90), gradient.rotate(180)))


def chunk(kind: bytes, data: bytes) -> bytes:
    """One PNG chunk with its checksum."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, data: bytes | None = None, *extra: bytes) -> bytes:
    """A grey 8-bit PNG that declares this size."""
    if data is None:
        data = zlib.compress(b"".join(b"\0" + b"\x80" * width for _ in range(height)))
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    parts = [chunk(b"IHDR", header), *extra, chunk(b"IDAT", data), chunk(b"IEND", b"")]
    return PNG_SIGNATURE + b"".join(parts)


def bmp(width: int, height: int, num_bytes: int = 12, bits: int = 24) -> bytes:
    """A BMP that declares this size and has ``num_bytes`` of pixels."""
    info = struct.pack("<IiiHHIIiiII", 40, width, height, 1, bits, 0, 0, 0, 0, 0, 0)
    head = b"BM" + struct.pack("<IHHI", 54 + num_bytes, 0, 0, 54)
    return head + info + b"\x40" * num_bytes


def zip_file() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a.jpg", b"x" * 100)
    return file.getvalue()


JPEG = encode(noisy(), "JPEG")
PNG = encode(noisy(), "PNG")
WEBP = encode(noisy(), "WEBP")
GIF = encode(noisy(), "GIF")
BMP = encode(noisy(), "BMP")
TIFF = encode(noisy(), "TIFF")
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
BOMB_TEXT = zlib.compress(b"\0" * 80_000_000, 9)


def patched(data: bytes, at: int, new: bytes) -> bytes:
    return data[:at] + new + data[at + len(new) :]


def jpeg_of_size(width: int, height: int) -> bytes:
    """The JPEG with another size in its frame header."""
    frame = JPEG.index(b"\xff\xc0")
    return patched(JPEG, frame + 5, struct.pack(">HH", height, width))


def turned(orientation: int) -> bytes:
    """A JPEG of 64x48, left half black, right half white, with an EXIF orientation."""
    image = photo(colour="black")
    image.paste("white", (WIDTH // 2, 0, WIDTH, HEIGHT))
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encode(image, "JPEG", exif=exif, quality=95)


REFUSED: dict[str, tuple[Callable[[], bytes], str]] = {
    "empty file": (lambda: b"", "empty"),
    "one byte": (lambda: b"\xff", "not an image"),
    "zeros": (lambda: b"\0" * 5000, "not an image"),
    "text": (lambda: b"just a sentence", "not an image"),
    "base64 of base64": (lambda: b"aGVsbG8gd29ybGQ=", "not an image"),
    "HTML": (lambda: b"<!doctype html><img src=x onerror=alert(1)>", "not an image"),
    "SVG": (lambda: b'<svg xmlns="http://www.w3.org/2000/svg"><image href="x"/></svg>', "not an"),
    "PDF": (lambda: encode(noisy(), "PDF"), "not an image"),
    "ZIP": (zip_file, "not an image"),
    "TIFF": (lambda: TIFF, "not an image"),
    "ICO": (lambda: encode(noisy(), "ICO"), "not an image"),
    "PPM": (lambda: encode(noisy(), "PPM"), "not an image"),
    "EPS": (lambda: encode(noisy(), "EPS"), "not an image"),
    "JPEG after its magic bytes": (lambda: JPEG[:3], "not an image"),
    "JPEG cut in its tables": (lambda: JPEG[:100], "damaged|not an image"),
    "JPEG cut before its pixels": (lambda: JPEG[: JPEG.index(b"\xff\xda") + 4], "damaged"),
    "JPEG cut in its pixels": (lambda: JPEG[: len(JPEG) * 2 // 3], "damaged"),
    "JPEG header before ZIP": (lambda: JPEG[:20] + zip_file(), "not an image|damaged"),
    "JPEG of zero width": (lambda: jpeg_of_size(0, HEIGHT), "not an image|damaged|each side"),
    "JPEG that declares 65500x65500": (lambda: jpeg_of_size(65_500, 65_500), "pixels"),
    "JPEG without end of its frame": (
        lambda: patched(JPEG, JPEG.index(b"\xff\xc0") + 2, b"\xff\xff"), "damaged|not an image",
    ),
    "PNG signature alone": (lambda: PNG_SIGNATURE, "not an image|damaged"),
    "PNG cut in its header": (lambda: PNG[:20], "not an image|damaged"),
    "PNG cut in its pixels": (lambda: PNG[: len(PNG) // 2], "damaged"),
    "PNG with a wrong checksum": (lambda: patched(PNG, 29, b"\0\0\0\0"), "not an|dam"),
    "PNG without pixels": (lambda: png(4, 4, b""), "damaged"),
    "PNG with pixels that do not inflate": (lambda: png(4, 4, b"no zlib data"), "damaged"),
    "PNG of zero width": (lambda: png(0, 4), "each side|damaged|not an image"),
    "PNG of one column": (lambda: png(1, 900), "each side needs at least 2"),
    "PNG that declares 100000x100000": (lambda: png(100_000, 100_000, b"x"), "pixels"),
    "PNG that inflates to too many pixels": (lambda: encode(
        Image.new("1", (9000, 9000)), "PNG"), "pixels",
    ),
    "PNG with a bomb of text": (
        lambda: png(4, 4, None, chunk(b"zTXt", b"key\0\0" + BOMB_TEXT)), "damaged|not an image",
    ),
    "PNG with a bomb of a colour profile": (
        lambda: png(4, 4, None, chunk(b"iCCP", b"icc\0\0" + BOMB_TEXT)), "damaged|not an image",
    ),
    "GIF header alone": (lambda: GIF[:13], "not an image|damaged"),
    "GIF with no frame": (lambda: GIF[:13] + GIF[13 : 13 + 768] + b";", "not an image|damaged"),
    "GIF cut in its pixels": (lambda: GIF[: len(GIF) * 2 // 3], "damaged"),
    "WebP header alone": (lambda: WEBP[:12], "not an image|damaged"),
    "WebP cut in its pixels": (lambda: WEBP[: len(WEBP) // 2], "damaged|not an image"),
    "BMP cut in its pixels": (lambda: BMP[: len(BMP) // 2], "damaged"),
    "BMP of absurd height": (lambda: bmp(2, -(2**31) + 1), "pixels"),
    "BMP of absurd width": (lambda: bmp(2**31 - 1, 2), "pixels|damaged|not an image"),
    "BMP of negative width": (lambda: bmp(-4, 4), "pixels"),
    "BMP of 17 bits a pixel": (lambda: bmp(2, 2, bits=17), "damaged|not an image"),
    "BMP with pixels far beyond its end": (
        lambda: patched(BMP, 10, struct.pack("<I", 2**31)), "damaged|not an image",
    ),
}  # fmt: skip

Colour = tuple[int, int, int]
ACCEPTED: dict[str, tuple[Callable[[], bytes], tuple[int, int], Colour]] = {
    "JPEG": (lambda: encode(photo(), "JPEG", quality=95), (WIDTH, HEIGHT), TEAL),
    "progressive JPEG": (
        lambda: encode(photo(), "JPEG", quality=95, progressive=True), (WIDTH, HEIGHT), TEAL,
    ),
    "grey JPEG": (lambda: encode(photo("L", 90), "JPEG"), (WIDTH, HEIGHT), (90, 90, 90)),
    "CMYK JPEG": (
        lambda: encode(photo("CMYK", (255, 0, 0, 0)), "JPEG", quality=95), (WIDTH, HEIGHT),
        (0, 255, 255),
    ),
    "JPEG that lies on its side": (lambda: turned(6), (HEIGHT, WIDTH), (0, 0, 0)),
    "JPEG on its head": (lambda: turned(3), (WIDTH, HEIGHT), (255, 255, 255)),
    "JPEG with a colour profile": (
        lambda: encode(photo(), "JPEG", quality=95, icc_profile=SRGB), (WIDTH, HEIGHT), TEAL,
    ),
    "JPEG with bytes after its end": (
        lambda: encode(photo(), "JPEG", quality=95) + zip_file(), (WIDTH, HEIGHT), TEAL,
    ),
    "JPEGs in one file (MPO)": (
        lambda: encode(photo(), "MPO", save_all=True, append_images=[noisy()], quality=95),
        (WIDTH, HEIGHT), TEAL,
    ),
    "1-bit PNG": (lambda: encode(photo("1", 1), "PNG"), (WIDTH, HEIGHT), (255, 255, 255)),
    "16-bit PNG": (
        lambda: encode(photo("I;16", 0x8080), "PNG"), (WIDTH, HEIGHT), (128, 128, 128),
    ),
    "PNG with an empty chunk before its header": (
        lambda: PNG_SIGNATURE + chunk(b"IDAT", b"") + png(4, 4)[8:], (4, 4), (128, 128, 128),
    ),
    "PNG with a palette": (lambda: encode(photo().quantize(4), "PNG"), (WIDTH, HEIGHT), TEAL),
    "PNG half transparent": (
        lambda: encode(photo("RGBA", (0, 0, 0, 51)), "PNG"), (WIDTH, HEIGHT), (204, 204, 204),
    ),
    "PNG with a transparent palette entry": (
        lambda: encode(photo().quantize(2), "PNG", transparency=0), (WIDTH, HEIGHT),
        (255, 255, 255),
    ),
    "grey PNG with transparency": (
        lambda: encode(photo("LA", (0, 0)), "PNG"), (WIDTH, HEIGHT), (255, 255, 255),
    ),
    "animated GIF: its first frame": (
        lambda: encode(photo(), "GIF", save_all=True, append_images=[noisy()]),
        (WIDTH, HEIGHT), TEAL,
    ),
    "animated PNG: its first frame": (
        lambda: encode(photo(), "PNG", save_all=True, append_images=[noisy()]),
        (WIDTH, HEIGHT), TEAL,
    ),
    "WebP": (lambda: encode(photo(), "WEBP", lossless=True), (WIDTH, HEIGHT), TEAL),
    "BMP from top to bottom": (lambda: bmp(2, -2, 16), (2, 2), (64, 64, 64)),
}  # fmt: skip
