/* Included before an operation that is written for GEGL: what it registers is led through revision.c. */
#ifndef GETTEXT_PACKAGE
#define GETTEXT_PACKAGE "gegl-0.4"
#endif

/* What gegl-op.h makes of names of an enumeration asks for it, included or not. */
extern char *dgettext(const char *domain, const char *text);

#define g_boxed_type_register_static imgflo_boxed_type_register_static
#define g_enum_register_static imgflo_enum_register_static
#define g_flags_register_static imgflo_flags_register_static
#define g_type_module_register_type imgflo_type_module_register_type
#define g_type_register_static imgflo_type_register_static
#define g_type_register_static_simple imgflo_type_register_static_simple
#define gegl_operation_class_set_key imgflo_operation_class_set_key
#define gegl_operation_class_set_keys imgflo_operation_class_set_keys
