/* Gives what an operation registers names of its own, the revision in them: GLib and GEGL know a name once and for
 * all, and a process may meet many revisions. IMGFLO_REVISION is the operation with its revision. */
#include <gegl-plugin.h>

/* The names of the header are declared here, with the types of those that they stand for. What they stand for is
 * called below. */
#undef g_boxed_type_register_static
#undef g_enum_register_static
#undef g_flags_register_static
#undef g_type_module_register_type
#undef g_type_register_static
#undef g_type_register_static_simple
#undef gegl_operation_class_set_key
#undef gegl_operation_class_set_keys

GType g_boxed_type_register_static(const gchar *name, GBoxedCopyFunc copy, GBoxedFreeFunc free);
GType g_enum_register_static(const gchar *name, const GEnumValue *values);
GType g_flags_register_static(const gchar *name, const GFlagsValue *values);
GType g_type_module_register_type(GTypeModule *module, GType parent, const gchar *name, const GTypeInfo *info,
                                  GTypeFlags flags);
GType g_type_register_static(GType parent, const gchar *name, const GTypeInfo *info, GTypeFlags flags);
GType g_type_register_static_simple(GType parent, const gchar *name, guint class_size, GClassInitFunc class_init,
                                    guint size, GInstanceInitFunc init, GTypeFlags flags);
void gegl_operation_class_set_key(GeglOperationClass *class, const gchar *key, const gchar *value);

static const gchar *renamed(const gchar *name) {
    gchar *whole = g_strconcat(name, "-" IMGFLO_REVISION, NULL);
    const gchar *kept = g_intern_string(whole);
    g_free(whole);
    return kept;
}

GType imgflo_boxed_type_register_static(const gchar *name, GBoxedCopyFunc copy, GBoxedFreeFunc free) {
    return g_boxed_type_register_static(renamed(name), copy, free);
}

GType imgflo_enum_register_static(const gchar *name, const GEnumValue *values) {
    return g_enum_register_static(renamed(name), values);
}

GType imgflo_flags_register_static(const gchar *name, const GFlagsValue *values) {
    return g_flags_register_static(renamed(name), values);
}

GType imgflo_type_module_register_type(GTypeModule *module, GType parent, const gchar *name, const GTypeInfo *info,
                                       GTypeFlags flags) {
    return g_type_module_register_type(module, parent, renamed(name), info, flags);
}

GType imgflo_type_register_static(GType parent, const gchar *name, const GTypeInfo *info, GTypeFlags flags) {
    return g_type_register_static(parent, renamed(name), info, flags);
}

GType imgflo_type_register_static_simple(GType parent, const gchar *name, guint class_size, GClassInitFunc class_init,
                                         guint size, GInstanceInitFunc init, GTypeFlags flags) {
    return g_type_register_static_simple(parent, renamed(name), class_size, class_init, size, init, flags);
}

/* An operation has the one name that graphs know it by, and none that GEGL has already. */
void imgflo_operation_class_set_key(GeglOperationClass *class, const gchar *key, const gchar *value) {
    if (g_str_equal(key, "compat-name")) {
        return;
    }
    gegl_operation_class_set_key(class, key, g_str_equal(key, "name") ? "imgflo:" IMGFLO_REVISION : value);
}

void imgflo_operation_class_set_keys(GeglOperationClass *class, const gchar *key, ...) {
    va_list more;
    va_start(more, key);
    for (; key; key = va_arg(more, const gchar *)) {
        imgflo_operation_class_set_key(class, key, va_arg(more, const gchar *));
    }
    va_end(more);
}
