/*
 * imgflo-op.h: operations for imgflo, written in C.
 *
 * One file is one operation. It describes itself in an `imgflo_operation`, hands that out with
 * IMGFLO_OPERATION, and is built with `imgflo ops build`. In graphs the operation `sepia` of the
 * file `sepia.c` is the component `c/sepia`. See docs/C-OPERATIONS.md.
 *
 * Pixels are four floats: red, green, blue and alpha, nominally 0 to 1; values below 0 and above 1
 * are welcome, and what is not finite becomes 0. A picture covers a box of whole pixels; y grows
 * downwards, and a box may begin left of and above (0, 0).
 *
 * imgflo computes a picture in parts, in any order, each maybe in another process, and calls no
 * operation from two threads at once. A result may depend on the arguments of its call alone: an
 * operation keeps nothing from one call to the next.
 *
 * An operation runs in a process of its own kind that can open no socket, start no process, write no
 * file, and read none but the system's libraries. If it crashes, hangs, takes too much memory, or
 * touches memory past its pixels, its job ends with an error and nothing else happens. Threads that it
 * starts end before it returns.
 *
 * This file is plain C11. Version 1 will stay as it is; what comes later has another number.
 */
#ifndef IMGFLO_OP_H
#define IMGFLO_OP_H

#include <stddef.h>
#include <stdint.h>

#define IMGFLO_OP_VERSION 1

/* A box of pixels: x to x + width - 1, y to y + height - 1. */
typedef struct imgflo_box {
    int32_t x;
    int32_t y;
    int32_t width;
    int32_t height;
} imgflo_box;

/* What an operation is. */
enum {
    /* Each pixel from the pixel at the same place alone. One input. */
    IMGFLO_POINT = 1,
    /* Each pixel from those around it. One input; the output covers the same box. */
    IMGFLO_AREA = 2,
    /* Two inputs, `input` and `aux`; the output covers the box of `input`. */
    IMGFLO_COMPOSITOR = 3,
    /* A picture from nothing. */
    IMGFLO_SOURCE = 4
};

/* How pixels and colours come and go. */
enum {
    /* Proportional to light; colour beside alpha. For what mixes light: blurs, scales, blends. */
    IMGFLO_LINEAR = 1,
    /* Proportional to light; colour multiplied by alpha. */
    IMGFLO_LINEAR_PREMULTIPLIED = 2,
    /* sRGB-coded, as in files: even steps look even. For what sets tones. Colour beside alpha. */
    IMGFLO_CODED = 3,
    /* sRGB-coded; colour multiplied by alpha after coding. */
    IMGFLO_CODED_PREMULTIPLIED = 4
};

/* Types of properties. */
enum {
    IMGFLO_TYPE_NUMBER = 1,
    IMGFLO_TYPE_INT = 2,
    IMGFLO_TYPE_BOOLEAN = 3,
    IMGFLO_TYPE_ENUM = 4,
    IMGFLO_TYPE_COLOR = 5,
    IMGFLO_TYPE_TEXT = 6
};

/* The value of a property; which member holds depends on its type. */
typedef union imgflo_value {
    /* IMGFLO_TYPE_NUMBER: within its range. */
    double number;
    /* IMGFLO_TYPE_INT: within its range. IMGFLO_TYPE_BOOLEAN: 0 or 1. IMGFLO_TYPE_ENUM: the place
     * of the choice, from 0. */
    int64_t integer;
    /* IMGFLO_TYPE_COLOR: red, green, blue, alpha, each 0 to 1 and never premultiplied; in calls
     * linear or coded as the operation's format says, in a default always coded. */
    float color[4];
    /* IMGFLO_TYPE_TEXT: UTF-8. */
    const char *text;
} imgflo_value;

/* A property, made with one of the macros below. */
typedef struct imgflo_property {
    /* The name of the port in graphs: small letters, digits and dashes. */
    const char *name;
    /* What it does, with its unit: a sentence. */
    const char *description;
    int32_t type;
    /* Range of a number or int. */
    double minimum;
    double maximum;
    imgflo_value initial;
    /* Names of an enum, NULL after the last. */
    const char *const *choices;
} imgflo_property;

/* A real number. */
#define IMGFLO_NUMBER(name_, description_, initial_, minimum_, maximum_)               \
    {                                                                                  \
        .name = (name_), .description = (description_), .type = IMGFLO_TYPE_NUMBER,    \
        .minimum = (minimum_), .maximum = (maximum_), .initial = {.number = (initial_)} \
    }

/* A whole number; at most 2 to the power of 53, either way. */
#define IMGFLO_INT(name_, description_, initial_, minimum_, maximum_)                   \
    {                                                                                   \
        .name = (name_), .description = (description_), .type = IMGFLO_TYPE_INT,        \
        .minimum = (minimum_), .maximum = (maximum_), .initial = {.integer = (initial_)} \
    }

/* True or false: 1 or 0. */
#define IMGFLO_BOOLEAN(name_, description_, initial_)                                \
    {                                                                                \
        .name = (name_), .description = (description_), .type = IMGFLO_TYPE_BOOLEAN, \
        .initial = {.integer = (initial_)}                                           \
    }

/* One of the names in choices_, an array of `const char *` with NULL at its end; initial_ is the
 * place of the default, from 0. */
#define IMGFLO_ENUM(name_, description_, initial_, choices_)                      \
    {                                                                             \
        .name = (name_), .description = (description_), .type = IMGFLO_TYPE_ENUM, \
        .initial = {.integer = (initial_)}, .choices = (choices_)                 \
    }

/* A colour; the default is sRGB-coded, each component 0 to 1. */
#define IMGFLO_COLOR(name_, description_, red_, green_, blue_, alpha_)             \
    {                                                                              \
        .name = (name_), .description = (description_), .type = IMGFLO_TYPE_COLOR, \
        .initial = {.color = {(red_), (green_), (blue_), (alpha_)}}                \
    }

/* A text of at most 4096 bytes. */
#define IMGFLO_TEXT(name_, description_, initial_)                                \
    {                                                                             \
        .name = (name_), .description = (description_), .type = IMGFLO_TYPE_TEXT, \
        .initial = {.text = (initial_)}                                           \
    }

/* Ends a list of properties. */
#define IMGFLO_END {0}

/* Pixels to read: those of `box`. The one at (x, y) is at
 * pixels + (y - box.y) * stride + (x - box.x) * 4. */
typedef struct imgflo_picture {
    imgflo_box box;
    /* Floats from a row to the next. */
    ptrdiff_t stride;
    const float *pixels;
} imgflo_picture;

/* Pixels to write: all of `box`, laid out as in imgflo_picture. */
typedef struct imgflo_target {
    imgflo_box box;
    ptrdiff_t stride;
    float *pixels;
} imgflo_target;

/* How far from a pixel of the output the input is read, pixels, 0 to 1024 each. */
typedef struct imgflo_margins {
    int32_t left;
    int32_t top;
    int32_t right;
    int32_t bottom;
} imgflo_margins;

/* A call of `render`. */
typedef struct imgflo_call {
    /* The values of the properties, in their order. */
    const imgflo_value *values;
    /* The box of the whole picture that output is a part of. Of one without bounds, width and height
     * are INT32_MAX. */
    imgflo_box whole;
    /* The box of output, with the margins on each side. Beyond the edges of the picture the nearest
     * pixel is repeated, so no edge needs care. A source has none: its pixels are NULL. */
    imgflo_picture input;
    /* A compositor's second input, of the same box. Beyond its edges it is transparent (all 0). */
    imgflo_picture aux;
    /* What is to be filled. */
    imgflo_target output;
} imgflo_call;

/* An operation. Members that do not apply stay away. */
typedef struct imgflo_operation {
    /* IMGFLO_POINT, IMGFLO_AREA, IMGFLO_COMPOSITOR or IMGFLO_SOURCE. */
    int32_t kind;
    /* IMGFLO_LINEAR, IMGFLO_LINEAR_PREMULTIPLIED, IMGFLO_CODED or IMGFLO_CODED_PREMULTIPLIED. */
    int32_t format;
    /* 1 when an opaque picture stays opaque, whatever the properties are: results are smaller then.
     * Alpha is 1 in all that comes in and taken for 1 in all that goes out. */
    int32_t keeps_opaque;
    /* Work a pixel, where copying one is 1; 0 when unknown. Jobs are planned with it. */
    float weight;
    /* The name of its file without `.c`: small letters, digits and dashes, a letter first. */
    const char *name;
    /* Name for people: "Sepia". NULL: as `name`. */
    const char *title;
    /* What it does: a sentence. */
    const char *description;
    /* Categories as GEGL has them, with colons between: "color", "blur:light". NULL: none. */
    const char *categories;
    /* IMGFLO_END after the last; NULL: none. At most 64. */
    const imgflo_property *properties;

    /* Of a point operation: rewrites `count` pixels in place, the first of which is at (x, y). */
    void (*point)(const imgflo_value *values, float *pixels, int32_t x, int32_t y, int32_t count,
                  imgflo_box whole);

    /* Of all others: fills call->output. Returns NULL, or what is wrong, in a sentence: then the job
     * ends with that. The text is copied at once. */
    const char *(*render)(const imgflo_call *call);

    /* Of an area operation or compositor: how far it reads. NULL: it reads the same place only. */
    imgflo_margins (*margins)(const imgflo_value *values);

    /* Of a source: what it covers. NULL: it has no bounds, and is cut to size by the graph. */
    imgflo_box (*bounds)(const imgflo_value *values);
} imgflo_operation;

/* What imgflo looks for in a built operation. */
typedef struct imgflo_export {
    uint32_t version;
    uint32_t size;
    const imgflo_operation *operation;
} imgflo_export;

/* Hands an operation out; once in each file. */
#define IMGFLO_OPERATION(operation_)                                                       \
    __attribute__((visibility("default"))) extern const imgflo_export imgflo_operation_v1; \
    const imgflo_export imgflo_operation_v1 = {IMGFLO_OP_VERSION, sizeof(imgflo_operation), &(operation_)}

/* The four floats of a pixel to read; (x, y) is in its box. */
static inline const float *imgflo_at(const imgflo_picture *picture, int32_t x, int32_t y) {
    return picture->pixels + (ptrdiff_t)(y - picture->box.y) * picture->stride +
           (ptrdiff_t)(x - picture->box.x) * 4;
}

/* The first pixel of row y to write; y is in its box. */
static inline float *imgflo_row(const imgflo_target *target, int32_t y) {
    return target->pixels + (ptrdiff_t)(y - target->box.y) * target->stride;
}

#endif
