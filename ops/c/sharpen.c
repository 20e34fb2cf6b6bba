/* An area operation: the difference to a blurred picture, added (an unsharp mask). */
#include "imgflo-op.h"

enum { RADIUS, AMOUNT };

static const imgflo_property properties[] = {
    [RADIUS] = IMGFLO_INT("radius", "How far around a pixel its surroundings reach, pixels.", 2, 1, 16),
    [AMOUNT] = IMGFLO_NUMBER("amount", "How much of the difference to the surroundings is added.", 0.8, -1.0, 5.0),
    IMGFLO_END,
};

static imgflo_margins margins(const imgflo_value *values) {
    int32_t radius = (int32_t)values[RADIUS].integer;
    return (imgflo_margins){radius, radius, radius, radius};
}

static const char *render(const imgflo_call *call) {
    int32_t radius = (int32_t)call->values[RADIUS].integer;
    float amount = (float)call->values[AMOUNT].number;
    float share = 1.0f / (float)((2 * radius + 1) * (2 * radius + 1));
    const imgflo_box box = call->output.box;
    for (int32_t y = box.y; y < box.y + box.height; y++) {
        float *to = imgflo_row(&call->output, y);
        for (int32_t x = box.x; x < box.x + box.width; x++, to += 4) {
            float sum[4] = {0};
            for (int32_t dy = -radius; dy <= radius; dy++) {
                const float *from = imgflo_at(&call->input, x - radius, y + dy);
                for (int32_t dx = -radius; dx <= radius; dx++, from += 4) {
                    for (int c = 0; c < 4; c++) {
                        sum[c] += from[c];
                    }
                }
            }
            const float *here = imgflo_at(&call->input, x, y);
            for (int c = 0; c < 3; c++) {
                to[c] = here[c] + (here[c] - sum[c] * share) * amount;
            }
            to[3] = here[3];
        }
    }
    return NULL;
}

static const imgflo_operation sharpen = {
    .kind = IMGFLO_AREA,
    .format = IMGFLO_LINEAR_PREMULTIPLIED,
    .keeps_opaque = 1,
    .weight = 60.0f,
    .name = "sharpen",
    .title = "Sharpen",
    .description = "Makes a picture sharper by the difference to its surroundings, or softer below 0.",
    .categories = "enhance:sharpen",
    .properties = properties,
    .render = render,
    .margins = margins,
};

IMGFLO_OPERATION(sharpen);
