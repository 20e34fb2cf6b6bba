/* Comes before GEGL's own header of this name. A source may leave its name and its file out: it is given those that
 * it was sent under. IMGFLO_OP_NAME is what clients wrap the registered name in; revision.c replaces that anyway. */
#ifndef GEGL_OP_NAME
#define GEGL_OP_NAME IMGFLO_NAME
#endif
#if !defined(GEGL_OP_C_SOURCE) && !defined(GEGL_OP_C_FILE)
#define GEGL_OP_C_FILE IMGFLO_FILE
#endif
#ifndef IMGFLO_OP_NAME
#define IMGFLO_OP_NAME(name) name
#endif
#include_next <gegl-op.h>
