/* A point operation: two colours in place of dark and light. */
#include "imgflo-op.h"

enum { DARK, LIGHT, STRENGTH };

static const imgflo_property properties[] = {
    [DARK] = IMGFLO_COLOR("dark", "Colour that black becomes.", 0.11f, 0.14f, 0.35f, 1.0f),
    [LIGHT] = IMGFLO_COLOR("light", "Colour that white becomes.", 1.0f, 0.84f, 0.55f, 1.0f),
    [STRENGTH] = IMGFLO_NUMBER("strength", "How much of the colours to take: 0 is none, 1 is all.", 1.0, 0.0, 1.0),
    IMGFLO_END,
};

static void point(const imgflo_value *values, float *pixels, int32_t x, int32_t y, int32_t count, imgflo_box whole) {
    const float *dark = values[DARK].color;
    const float *light = values[LIGHT].color;
    float strength = (float)values[STRENGTH].number;
    (void)x, (void)y, (void)whole;
    for (float *pixel = pixels; pixel < pixels + 4 * (ptrdiff_t)count; pixel += 4) {
        /* Luma of ITU-R BT.709. */
        float luma = 0.2126f * pixel[0] + 0.7152f * pixel[1] + 0.0722f * pixel[2];
        for (int c = 0; c < 3; c++) {
            float toned = dark[c] + (light[c] - dark[c]) * luma;
            pixel[c] += (toned - pixel[c]) * strength;
        }
    }
}

static const imgflo_operation duotone = {
    .kind = IMGFLO_POINT,
    .format = IMGFLO_CODED,
    .keeps_opaque = 1,
    .weight = 4.0f,
    .name = "duotone",
    .title = "Duotone",
    .description = "Gives dark and light places a colour each.",
    .categories = "color",
    .properties = properties,
    .point = point,
};

IMGFLO_OPERATION(duotone);
