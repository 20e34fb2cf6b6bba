/* A compositor: one picture says how much of another is seen. */
#include "imgflo-op.h"

enum { CHANNEL, INVERT };

enum { LUMINANCE, ALPHA };

static const char *const channels[] = {[LUMINANCE] = "luminance", [ALPHA] = "alpha", NULL};

static const imgflo_property properties[] = {
    [CHANNEL] = IMGFLO_ENUM("channel", "What of the mask counts.", LUMINANCE, channels),
    [INVERT] = IMGFLO_BOOLEAN("invert", "Show what the mask hides, and hide what it shows.", 0),
    IMGFLO_END,
};

static const char *render(const imgflo_call *call) {
    int64_t channel = call->values[CHANNEL].integer;
    int64_t invert = call->values[INVERT].integer;
    const imgflo_box box = call->output.box;
    for (int32_t y = box.y; y < box.y + box.height; y++) {
        const float *input = imgflo_at(&call->input, box.x, y);
        const float *mask = imgflo_at(&call->aux, box.x, y);
        float *to = imgflo_row(&call->output, y);
        for (int32_t x = 0; x < box.width; x++, input += 4, mask += 4, to += 4) {
            /* Colour is premultiplied: what is transparent has no light. Weights of ITU-R BT.709. */
            float light = 0.2126f * mask[0] + 0.7152f * mask[1] + 0.0722f * mask[2];
            float seen = channel == ALPHA ? mask[3] : light;
            seen = seen < 0.0f ? 0.0f : seen > 1.0f ? 1.0f : seen;
            seen = invert ? 1.0f - seen : seen;
            for (int c = 0; c < 4; c++) {
                to[c] = input[c] * seen;
            }
        }
    }
    return NULL;
}

static const imgflo_operation mask = {
    .kind = IMGFLO_COMPOSITOR,
    .format = IMGFLO_LINEAR_PREMULTIPLIED,
    .weight = 3.0f,
    .name = "mask",
    .title = "Mask",
    .description = "Shows of the input what is light, or opaque, in aux.",
    .categories = "compositors",
    .properties = properties,
    .render = render,
};

IMGFLO_OPERATION(mask);
