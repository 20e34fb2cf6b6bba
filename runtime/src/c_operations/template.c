/* An operation for imgflo: see docs/C-OPERATIONS.md. Build it with `imgflo ops build`. */
#include "imgflo-op.h"

/* The properties, in their order. */
enum { BRIGHTNESS, TINT };

static const imgflo_property properties[] = {
    [BRIGHTNESS] = IMGFLO_NUMBER("brightness", "What light is multiplied by: 1 changes nothing.", 1.0, 0.0, 10.0),
    [TINT] = IMGFLO_COLOR("tint", "Colour of a glass before the picture; white changes nothing.", 1.0f, 1.0f, 1.0f, 1.0f),
    IMGFLO_END,
};

/* A row of `count` pixels, four floats each: red, green, blue, alpha. */
static void point(const imgflo_value *values, float *pixels, int32_t x, int32_t y, int32_t count, imgflo_box whole) {
    float brightness = (float)values[BRIGHTNESS].number;
    const float *tint = values[TINT].color;
    (void)x, (void)y, (void)whole;
    for (float *pixel = pixels; pixel < pixels + 4 * (ptrdiff_t)count; pixel += 4) {
        for (int c = 0; c < 3; c++) {
            pixel[c] *= brightness * tint[c];
        }
    }
}

static const imgflo_operation operation = {
    .kind = IMGFLO_POINT,
    .format = IMGFLO_LINEAR,
    .keeps_opaque = 1,
    .name = "@NAME@",
    .title = "@NAME@",
    .description = "Makes a picture brighter, and tints it.",
    .categories = "color",
    .properties = properties,
    .point = point,
};

IMGFLO_OPERATION(operation);
