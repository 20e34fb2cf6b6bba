/* A picture as wide as there are attempts: green is the error that stopped each, red that none did. */
#include "attempts.h"
#include "imgflo-op.h"

static const imgflo_property properties[] = {
    IMGFLO_TEXT("outside", "Folder with files to spoil.", ""),
    IMGFLO_INT("victim", "Process to disturb.", 0, 0, 2147483647),
    IMGFLO_END,
};

static imgflo_box bounds(const imgflo_value *values) {
    (void)values;
    return (imgflo_box){0, 0, COUNT, 1};
}

static const char *render(const imgflo_call *call) {
    float *pixel = imgflo_row(&call->output, 0);
    snprintf(outside, sizeof outside, "%s", call->values[0].text);
    victim = (int)call->values[1].integer;
    for (int x = call->output.box.x; x < call->output.box.x + call->output.box.width; x++, pixel += 4) {
        int error = tried(x);
        pixel[0] = error ? 0.0f : 1.0f;
        pixel[1] = (float)error / 255.0f;
        pixel[2] = pixel[3] = 1.0f;
    }
    return NULL;
}

static const imgflo_operation operation = {
    .kind = IMGFLO_SOURCE,
    .format = IMGFLO_CODED,
    .keeps_opaque = 1,
    .name = "hostile",
    .description = "Tries what it must not.",
    .properties = properties,
    .bounds = bounds,
    .render = render,
};
IMGFLO_OPERATION(operation);
