/* An area filter for GEGL: light from one side, as on a relief. A graph with it runs on GEGL. */
#ifdef GEGL_PROPERTIES

enum_start (relief_base)
  enum_value (RELIEF_GREY,    "grey",    "Grey")
  enum_value (RELIEF_PICTURE, "picture", "Picture")
enum_end (ReliefBase)

property_double (angle, "Angle", 135.0)
    description ("Where the light comes from, degrees from the right, against the clock.")
    value_range (0.0, 360.0)

property_double (depth, "Depth", 2.0)
    description ("How strong the light is.")
    value_range (0.0, 20.0)

property_int (reach, "Reach", 1)
    description ("How far apart the pixels are that are compared, pixels.")
    value_range (1, 32)

property_enum (base, "Base", ReliefBase, relief_base, RELIEF_GREY)
    description ("What the light falls on.")

#else

#define GEGL_OP_AREA_FILTER
#define GEGL_OP_NAME     relief
#define GEGL_OP_C_SOURCE relief.c

#include "gegl-op.h"
#include <math.h>

static void
prepare (GeglOperation *operation)
{
  GeglOperationAreaFilter *area = GEGL_OPERATION_AREA_FILTER (operation);
  GeglProperties          *o    = GEGL_PROPERTIES (operation);
  const Babl              *format = babl_format ("R'G'B'A float");

  area->left = area->right = area->top = area->bottom = o->reach;
  gegl_operation_set_format (operation, "input", format);
  gegl_operation_set_format (operation, "output", format);
}

static gboolean
process (GeglOperation       *operation,
         GeglBuffer          *input,
         GeglBuffer          *output,
         const GeglRectangle *roi,
         gint                 level)
{
  GeglProperties *o      = GEGL_PROPERTIES (operation);
  const Babl     *format = babl_format ("R'G'B'A float");
  gint            dx     = (gint) lround (cos (o->angle * G_PI / 180.0) * o->reach);
  gint            dy     = (gint) lround (-sin (o->angle * G_PI / 180.0) * o->reach);
  GeglRectangle   around = { roi->x - o->reach, roi->y - o->reach,
                             roi->width + 2 * o->reach, roi->height + 2 * o->reach };
  gfloat         *in     = g_new (gfloat, (gsize) around.width * around.height * 4);
  gfloat         *out    = g_new (gfloat, (gsize) roi->width * roi->height * 4);
  gfloat         *to     = out;

  gegl_buffer_get (input, &around, 1.0, format, in, GEGL_AUTO_ROWSTRIDE, GEGL_ABYSS_CLAMP);
  for (gint y = o->reach; y < roi->height + o->reach; y++)
    for (gint x = o->reach; x < roi->width + o->reach; x++, to += 4)
      {
        const gfloat *here   = in + ((gsize) y * around.width + x) * 4;
        const gfloat *before = in + ((gsize) (y + dy) * around.width + x + dx) * 4;
        gfloat        light  = 0.0f;

        for (gint c = 0; c < 3; c++)
          light += (here[c] - before[c]) * (gfloat) o->depth / 3.0f;
        for (gint c = 0; c < 3; c++)
          to[c] = (o->base == RELIEF_GREY ? 0.5f : here[c]) + light;
        to[3] = here[3];
      }
  gegl_buffer_set (output, roi, 0, format, out, GEGL_AUTO_ROWSTRIDE);
  g_free (in);
  g_free (out);
  return TRUE;
}

static void
gegl_op_class_init (GeglOpClass *klass)
{
  GeglOperationClass       *operation_class = GEGL_OPERATION_CLASS (klass);
  GeglOperationFilterClass *filter_class    = GEGL_OPERATION_FILTER_CLASS (klass);

  operation_class->prepare = prepare;
  filter_class->process    = process;
  gegl_operation_class_set_keys (operation_class,
    "name",        "imgflo:relief",
    "title",       "Relief",
    "categories",  "light",
    "description", "Lights a picture from one side, as a relief.",
    NULL);
}

#endif
