/* As hostile.c, in a module that GEGL loads. */
#ifdef GEGL_PROPERTIES

property_string (outside, "Outside", "")
    description ("Folder with files to spoil.")
property_int (victim, "Victim", 0)
    description ("Process to disturb.")
    value_range (0, G_MAXINT)

#else

#define GEGL_OP_POINT_RENDER
#include "attempts.h"
#include "gegl-op.h"

static void
prepare (GeglOperation *operation)
{
  gegl_operation_set_format (operation, "output", babl_format ("R'G'B'A float"));
}

static GeglRectangle
get_bounding_box (GeglOperation *operation)
{
  return (GeglRectangle) { 0, 0, COUNT, 1 };
}

static gboolean
process (GeglOperation *operation, void *out_buf, glong samples, const GeglRectangle *roi, gint level)
{
  GeglProperties *o = GEGL_PROPERTIES (operation);
  gfloat *pixel = out_buf;
  snprintf (outside, sizeof outside, "%s", o->outside);
  victim = o->victim;
  for (glong i = 0; i < samples; i++, pixel += 4)
    {
      glong index = roi->x + i;
      int error = index >= 0 && index < COUNT ? tried ((int) index) : EPERM;
      pixel[0] = error ? 0.0f : 1.0f;
      pixel[1] = (gfloat) error / 255.0f;
      pixel[2] = pixel[3] = 1.0f;
    }
  return TRUE;
}

static void
gegl_op_class_init (GeglOpClass *klass)
{
  GEGL_OPERATION_CLASS (klass)->prepare = prepare;
  GEGL_OPERATION_CLASS (klass)->get_bounding_box = get_bounding_box;
  GEGL_OPERATION_POINT_RENDER_CLASS (klass)->process = process;
  gegl_operation_class_set_keys (GEGL_OPERATION_CLASS (klass), "name", "imgflo:hostile", "title", "Hostile", "description",
    "Tries what it must not.", NULL);
}

#endif
