/* A source: stripes in two colours, with smooth edges. */
#include <math.h>

#include "imgflo-op.h"

enum { FIRST, SECOND, WIDTH, ANGLE };

static const imgflo_property properties[] = {
    [FIRST] = IMGFLO_COLOR("color1", "Colour of the first stripe.", 1.0f, 1.0f, 1.0f, 1.0f),
    [SECOND] = IMGFLO_COLOR("color2", "Colour of the second stripe.", 0.0f, 0.0f, 0.0f, 1.0f),
    [WIDTH] = IMGFLO_NUMBER("stripe-width", "Width of a stripe, pixels.", 16.0, 1.0, 10000.0),
    [ANGLE] = IMGFLO_NUMBER("angle", "Direction of the stripes, degrees; 0 is upright.", 0.0, -360.0, 360.0),
    IMGFLO_END,
};

static const char *render(const imgflo_call *call) {
    const imgflo_value *values = call->values;
    double width = values[WIDTH].number;
    double turn = values[ANGLE].number * 3.14159265358979323846 / 180.0;
    double across_x = cos(turn), across_y = sin(turn);
    const imgflo_box box = call->output.box;
    for (int32_t y = box.y; y < box.y + box.height; y++) {
        float *to = imgflo_row(&call->output, y);
        for (int32_t x = box.x; x < box.x + box.width; x++, to += 4) {
            /* Pixels from the middle of the next first stripe, 0 to width. */
            double across = (x + 0.5) * across_x + (y + 0.5) * across_y - width / 2;
            double period = across - 2 * width * floor(across / (2 * width));
            double away = period < width ? period : 2 * width - period;
            /* An edge is one pixel wide. */
            double part = away - width / 2 + 0.5;
            float second = (float)(part < 0 ? 0 : part > 1 ? 1 : part);
            const float *one = values[FIRST].color, *other = values[SECOND].color;
            for (int c = 0; c < 4; c++) {
                float from = c < 3 ? one[c] * one[3] : one[3];
                float into = c < 3 ? other[c] * other[3] : other[3];
                to[c] = from + (into - from) * second;
            }
        }
    }
    return NULL;
}

static const imgflo_operation stripes = {
    .kind = IMGFLO_SOURCE,
    .format = IMGFLO_LINEAR_PREMULTIPLIED,
    .weight = 30.0f,
    .name = "stripes",
    .title = "Stripes",
    .description = "Stripes in two colours.",
    .categories = "render",
    .properties = properties,
    .render = render,
};

IMGFLO_OPERATION(stripes);
