"""What SVHN looks like: the measures of the drawn house numbers, in one place.

Each was changed until a statistic of the drawn images came near that of SVHN's training images,
*without their labels*, in the table of ``python -m benchmarks.drawing``. After what the number is,
its comment names the row of that table; "by eye" were those that no row tells. No label and no
accuracy on SVHN had a part in it.

Five numbers or more are quantiles, evenly spaced from the least value to the greatest, as
:func:`~minidann.data.house_numbers.quantile` takes them. Lengths are in digit heights, angles in
degrees, and full light is 1, unless said.
"""

# ---- the number (house_numbers.py)
# share of numbers with one digit, and with at most two: edges at the left and right
LENGTHS = 0.08, 0.45
GAP = 0.04, 0.14, 0.2, 0.28, 0.45  # between two digits: likeness 8 and 12 pixels across
RISE = 0.04  # of a neighbour above or below the digit, at most: likeness down
HEIGHT = 0.58, 0.75, 0.82, 0.88, 1.03  # of the image's: height of the digit
ASPECT = 0.42, 0.52, 0.63, 0.75, 1.0  # width, as part of the font's own: width to height
LEFT = -0.14, -0.05, -0.015, 0.0, 0.02, 0.055, 0.16  # in images: centre of the digit across
TOP = -0.1, -0.025, 0.0, 0.03, 0.1  # in images: centre of the digit down
ANGLE = -12, -2, 0, 1.5, 10  # slant
SHEAR = -0.06, 0.0, 0.0, 0.03, 0.36  # slant; most digits are upright and some are italic
KEYSTONE = 0.1  # nearness for each image's width, at most: by eye
BOLDEST = 0.15  # half a stroke, at most: width of the stroke

# ---- paint (house_paint.py)
GROUND = 0.08, 0.37, 0.48, 0.59, 0.98  # luminance of the ground: luminance
CONTRAST = 0.18, 0.22, 0.28, 0.37, 0.65  # luminance between ink and ground: contrast
DIMMED = 0.6  # times (that + luminance of the ground): luminance of the darkest pixels
DARKEST, LIGHTEST = 0.06, 0.98  # ink: luminance of the darkest and of the lightest pixels
LIGHT_INK = 0.7, 0.0  # share on a black ground and on a white one: light on dark, skewness
BLUE_CAST = -0.08, 0.003, 0.02, 0.037, 0.08  # blue - luminance of everything: blue
RED_CAST = -0.025, -0.008, -0.002, 0.004, 0.022  # red - luminance, likewise: red
RED_OF_BLUE = -0.35  # and that much for each of blue: red on blue
BLUE_TONE = -0.55, -0.22, -0.14, -0.08, 0.1  # blue for each of luminance: blue on luminance
RED_TONE = -0.3, -0.05, -0.01, 0.02, 0.25  # red for each of luminance: red on luminance
SATURATION = 0.0, 0.003, 0.006, 0.012, 0.14  # of the wall behind it all: colour
OWN_SATURATION = 0.0, 0.002, 0.004, 0.01, 0.2  # of ground, ink, rim and wall: spread of colour
# a hue in turns from red - luminance to blue - luminance: that of the sky or, half a turn on, that
# of brick and wood, each as often: blue, red
HUE = 0.2, 0.31, 0.34, 0.37, 0.48
PLATES = 0.25  # of the images: edges at the top and bottom
FRAMES = 0.2  # of the plates: by eye
STRIPES = 0.1  # of the images: by eye
SHADOWS = 0.25  # of the images: by eye
RIMS = 0.12  # of the images: by eye
LINES = 0.12  # of the images: by eye
TEXTURE = 0.1  # of the contrast, at most: log10 of light, 3 to 8 waves
BLOTCHES = 0.008, 0.015, 0.022, 0.034, 0.06  # of blue - luminance: spread of blue
RED_BLOTCHES = 0.5  # times that: spread of red
SLOPE = 0.45  # of the light from one side to the other, at most: slopes
SIDEWAYS = 0.6  # share of slopes that run along the number or across it: slopes

# ---- camera (house_camera.py)
PIXELS = 11.0, 13.0, 15.0, 19.0, 30.0  # of the sensor, in a digit's height: log10 of light
BLUR = 0.45, 0.6, 0.7, 0.8, 0.9  # Gaussian, in pixels of the sensor: log10 of light
SHARPENED = 0.0, 0.2, 0.5, 0.9, 1.5  # how much the camera adds of what it blurred away: by eye
NOISE = 0.003, 0.004, 0.006, 0.008, 0.014  # of each pixel of the sensor: log10 of noise
COLOUR_NOISE = 1.5  # times that of luminance: log10 of colour, 3 to 12 waves
QUALITY = 0.25, 0.4, 0.55, 0.75, 1.2  # multiplies JPEG's table of steps: log10 of noise
COLOUR_QUALITY = 0.35  # once more, for colour: log10 of colour, 3 to 12 waves
