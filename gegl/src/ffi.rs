//! The functions of GEGL, babl and GObject that are used, resolved when the process starts.
//!
//! The declarations follow the installed headers of GEGL 0.4 and GLib 2, whose binary interface is
//! frozen. All of it is used from one thread, as GEGL wants it.

use std::ffi::{CStr, CString, c_char, c_int, c_uint, c_void};
use std::marker::PhantomData;
use std::ptr::{NonNull, null, null_mut};

use libloading::Library;

use crate::message::{Box, Depth};

/// Why GEGL is not there.
#[derive(Debug, thiserror::Error)]
#[error("GEGL is not installed (Debian: apt install libgegl-0.4-0): {0}")]
pub(crate) struct Missing(#[from] libloading::Error);

/// An object of GLib's, behind a pointer.
#[repr(C)]
pub(crate) struct Opaque {
    _private: [u8; 0],
}

/// `GParamSpec`, as far as it is read.
#[repr(C)]
pub(crate) struct ParamSpec {
    class: *const usize,
    name: *const c_char,
    flags: c_uint,
    value_type: usize,
    owner_type: usize,
    nick: *const c_char,
    blurb: *const c_char,
    data: *const c_void,
    references: c_uint,
    id: c_uint,
}

/// `GParamSpecDouble` and its kin: limits of the type `T` after the common part.
#[repr(C)]
struct RangeSpec<T> {
    parent: ParamSpec,
    minimum: T,
    maximum: T,
}

/// `GValue`.
#[repr(C)]
struct RawValue {
    kind: usize,
    data: [u64; 2],
}

/// `GEnumClass`.
#[repr(C)]
struct EnumClass {
    class: usize,
    minimum: c_int,
    maximum: c_int,
    count: c_uint,
    values: *const EnumValue,
}

/// `GEnumValue`.
#[repr(C)]
struct EnumValue {
    value: c_int,
    name: *const c_char,
    nick: *const c_char,
}

macro_rules! functions {
    ($($library:literal: $($name:ident($($argument:ty),*) $(-> $result:ty)?;)+)+) => {
        /// The functions, by their names.
        struct Functions {
            $($($name: unsafe extern "C" fn($($argument),*) $(-> $result)?,)+)+
        }

        impl Functions {
            fn load() -> Result<Self, Missing> {
                // SAFETY: loading runs the libraries' initialisers, which do no more than register types; the names
                // have the types of the headers. The libraries are never unloaded: GLib's types stay registered.
                unsafe {
                    $(let library = std::boxed::Box::leak(std::boxed::Box::new(Library::new($library)?));
                    $(let $name = *library.get(concat!(stringify!($name), "\0").as_bytes())?;)+)+
                    Ok(Functions { $($($name,)+)+ })
                }
            }
        }
    };
}

functions! {
    "libglib-2.0.so.0":
        g_free(*mut c_void);
    "libgobject-2.0.so.0":
        g_object_unref(*mut Opaque);
        g_object_set_property(*mut Opaque, *const c_char, *const RawValue);
        g_value_init(*mut RawValue, usize) -> *mut RawValue;
        g_value_unset(*mut RawValue);
        g_value_set_double(*mut RawValue, f64);
        g_value_set_float(*mut RawValue, f32);
        g_value_set_int(*mut RawValue, c_int);
        g_value_set_uint(*mut RawValue, c_uint);
        g_value_set_boolean(*mut RawValue, c_int);
        g_value_set_enum(*mut RawValue, c_int);
        g_value_set_string(*mut RawValue, *const c_char);
        g_value_set_object(*mut RawValue, *mut Opaque);
        g_value_set_pointer(*mut RawValue, *const Opaque);
        g_value_get_double(*const RawValue) -> f64;
        g_value_get_float(*const RawValue) -> f32;
        g_value_get_int(*const RawValue) -> c_int;
        g_value_get_uint(*const RawValue) -> c_uint;
        g_value_get_boolean(*const RawValue) -> c_int;
        g_value_get_enum(*const RawValue) -> c_int;
        g_value_get_string(*const RawValue) -> *const c_char;
        g_value_get_object(*const RawValue) -> *mut Opaque;
        g_param_value_validate(*const ParamSpec, *mut RawValue) -> c_int;
        g_param_value_set_default(*const ParamSpec, *mut RawValue);
        g_type_name(usize) -> *const c_char;
        g_type_fundamental(usize) -> usize;
        g_type_class_ref(usize) -> *mut c_void;
    "libbabl-0.1.so.0":
        babl_format(*const c_char) -> *const Opaque;
        babl_format_has_alpha(*const Opaque) -> c_int;
        babl_format_get_n_components(*const Opaque) -> c_int;
    "libgegl-0.4.so.0":
        gegl_init(*mut c_int, *mut *mut *mut c_char);
        gegl_config() -> *mut Opaque;
        gegl_get_version(*mut c_int, *mut c_int, *mut c_int);
        gegl_load_module_directory(*const c_char);
        gegl_list_operations(*mut c_uint) -> *mut *mut c_char;
        gegl_has_operation(*const c_char) -> c_int;
        gegl_operation_list_properties(*const c_char, *mut c_uint) -> *mut *const ParamSpec;
        gegl_operation_get_key(*const c_char, *const c_char) -> *const c_char;
        gegl_operation_get_property_key(*const c_char, *const c_char, *const c_char) -> *const c_char;
        gegl_node_new() -> *mut Opaque;
        gegl_node_create_child(*mut Opaque, *const c_char) -> *mut Opaque;
        gegl_node_list_input_pads(*mut Opaque) -> *mut *mut c_char;
        gegl_node_has_pad(*mut Opaque, *const c_char) -> c_int;
        gegl_node_find_property(*mut Opaque, *const c_char) -> *const ParamSpec;
        gegl_node_set_property(*mut Opaque, *const c_char, *const RawValue);
        gegl_node_connect_to(*mut Opaque, *const c_char, *mut Opaque, *const c_char) -> c_int;
        gegl_node_get_bounding_box(*mut Opaque) -> Box;
        gegl_node_get_gegl_operation(*mut Opaque) -> *mut Opaque;
        gegl_operation_get_format(*mut Opaque, *const c_char) -> *const Opaque;
        gegl_node_blit(*mut Opaque, f64, *const Box, *const Opaque, *mut c_void, c_int, c_int);
        gegl_buffer_new(*const Box, *const Opaque) -> *mut Opaque;
        gegl_buffer_linear_new_from_data(*const c_void, *const Opaque, *const Box, c_int, *const c_void, *mut c_void) -> *mut Opaque;
        gegl_color_new(*const c_char) -> *mut Opaque;
        gegl_color_set_rgba(*mut Opaque, f64, f64, f64, f64);
        gegl_color_get_rgba(*mut Opaque, *mut f64, *mut f64, *mut f64, *mut f64);
        gegl_curve_new(f64, f64) -> *mut Opaque;
        gegl_curve_add_point(*mut Opaque, f64, f64) -> c_uint;
        gegl_path_new_from_string(*const c_char) -> *mut Opaque;
}

/// GEGL, ready for use on this thread.
pub(crate) struct Gegl {
    functions: Functions,
    /// Not to be sent to another thread.
    _here: PhantomData<*const ()>,
}

/// What kind of value a property holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Held {
    Double,
    Float,
    Int,
    UInt,
    Boolean,
    Enum,
    Text,
    Color,
    Path,
    /// A curve: points `x,y` with spaces between.
    Curve,
    /// Nothing that can be written down.
    Other,
}

/// The curve that changes nothing, GEGL's default.
const STRAIGHT: &str = "0,0 1,1";

/// Most points of a curve.
const MOST_POINTS: usize = 256;

/// The points of a curve written as `0,0 0.5,0.7 1,1`; numbers are finite. `None` for another text.
fn points(text: &str) -> Option<Vec<[f64; 2]>> {
    let point = |text: &str| {
        let (x, y) = text.split_once(',')?;
        let numbers = [x, y].map(|number| number.parse::<f64>().ok().filter(|number| number.is_finite()));
        Some([numbers[0]?, numbers[1]?])
    };
    let points = text.split_whitespace().take(MOST_POINTS + 1).map(point).collect::<Option<Vec<_>>>()?;
    (1..=MOST_POINTS).contains(&points.len()).then_some(points)
}

/// A value as GLib holds it, with its type.
pub(crate) enum Value {
    Number(f64),
    Int(i64),
    Boolean(bool),
    Text(String),
    Color([f64; 4]),
}

/// A C string of `text`; what follows a zero byte is cut off.
fn c(text: &str) -> CString {
    let until = text.bytes().position(|byte| byte == 0).unwrap_or(text.len());
    CString::new(&text[..until]).expect("the zero byte is cut off")
}

/// What a C string says.
///
/// # Safety
/// `text` is null or ends with a zero byte.
unsafe fn text(text: *const c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: as the caller says.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}

impl Gegl {
    /// Loads and starts GEGL; with `gpl` it has its GPL-3 operations, too.
    pub fn load(gpl: bool) -> Result<Gegl, Missing> {
        /// `G_TYPE_STRING`.
        const STRING: usize = 16 << 2;
        let functions = Functions::load()?;
        // SAFETY: both may be null: there is no command line for it. The configuration is GEGL's own and has a property
        // of that name, which takes a string.
        unsafe {
            (functions.gegl_init)(null_mut(), null_mut());
            if gpl {
                let mut license = RawValue { kind: 0, data: [0; 2] };
                (functions.g_value_init)(&raw mut license, STRING);
                (functions.g_value_set_string)(&raw mut license, c"GPL3".as_ptr());
                (functions.g_object_set_property)(
                    (functions.gegl_config)(),
                    c"application-license".as_ptr(),
                    &raw const license,
                );
                (functions.g_value_unset)(&raw mut license);
            }
        }
        Ok(Gegl { functions, _here: PhantomData })
    }

    /// `0.4.42`.
    pub fn version(&self) -> String {
        let (mut major, mut minor, mut micro) = (0, 0, 0);
        // SAFETY: writes the three numbers.
        unsafe { (self.functions.gegl_get_version)(&raw mut major, &raw mut minor, &raw mut micro) };
        format!("{major}.{minor}.{micro}")
    }

    /// Loads the modules of a folder: libraries with operations. They stay; one that cannot be loaded is told on
    /// standard error only.
    pub fn load_modules(&self, folder: &str) {
        // SAFETY: reads the string. Code of the modules runs from here on: whoever calls this lives in a process made
        // for that.
        unsafe { (self.functions.gegl_load_module_directory)(c(folder).as_ptr()) };
    }

    /// Names of all operations.
    pub fn operations(&self) -> Vec<String> {
        let mut count = 0;
        // SAFETY: returns `count` strings in an array that is ours to free; the strings are not.
        unsafe {
            let list = (self.functions.gegl_list_operations)(&raw mut count);
            let names = (0..count as usize).map(|index| text(*list.add(index))).collect();
            (self.functions.g_free)(list.cast());
            names
        }
    }

    /// True when there is an operation of that name, or alias.
    pub fn has(&self, operation: &str) -> bool {
        // SAFETY: reads the string.
        unsafe { (self.functions.gegl_has_operation)(c(operation).as_ptr()) != 0 }
    }

    /// What an operation says of itself under `key`: `title`, `description`, `categories`.
    pub fn key(&self, operation: &str, key: &str) -> String {
        // SAFETY: reads the strings; what it returns belongs to GEGL and is copied.
        unsafe { text((self.functions.gegl_operation_get_key)(c(operation).as_ptr(), c(key).as_ptr())) }
    }

    /// What an operation says of one of its properties, such as its `unit`; empty for nothing.
    pub fn property_key(&self, operation: &str, property: &str, key: &str) -> String {
        let (operation, property, key) = (c(operation), c(property), c(key));
        // SAFETY: texts that end with 0; the answer is a string of the operation, or null.
        unsafe {
            let key =
                (self.functions.gegl_operation_get_property_key)(operation.as_ptr(), property.as_ptr(), key.as_ptr());
            text(key)
        }
    }

    /// The properties of an operation, in its order.
    pub fn properties(&self, operation: &str) -> Vec<Spec<'_>> {
        let mut count = 0;
        // SAFETY: returns `count` specifications in an array that is ours to free; they live as long as their class,
        // which GEGL keeps.
        unsafe {
            let list = (self.functions.gegl_operation_list_properties)(c(operation).as_ptr(), &raw mut count);
            let specs = (0..count as usize).filter_map(|index| self.spec(*list.add(index))).collect();
            (self.functions.g_free)(list.cast());
            specs
        }
    }

    fn spec(&self, spec: *const ParamSpec) -> Option<Spec<'_>> {
        Some(Spec { gegl: self, spec: NonNull::new(spec.cast_mut())? })
    }

    /// A graph without nodes.
    pub fn graph(&self) -> Graph<'_> {
        // SAFETY: makes a new object.
        Graph { gegl: self, root: unsafe { (self.functions.gegl_node_new)() } }
    }

    fn format(&self, depth: Depth) -> *const Opaque {
        // SAFETY: reads the string; formats live for ever.
        unsafe { (self.functions.babl_format)(c(depth.name()).as_ptr()) }
    }

    fn type_name(&self, kind: usize) -> String {
        // SAFETY: any registered type; the name belongs to GLib.
        unsafe { text((self.functions.g_type_name)(kind)) }
    }
}

/// A property of an operation.
#[derive(Clone, Copy)]
pub(crate) struct Spec<'g> {
    gegl: &'g Gegl,
    spec: NonNull<ParamSpec>,
}

impl Spec<'_> {
    fn raw(&self) -> &ParamSpec {
        // SAFETY: specifications live as long as GEGL does.
        unsafe { self.spec.as_ref() }
    }

    pub fn name(&self) -> String {
        // SAFETY: a string of the specification.
        unsafe { text(self.raw().name) }
    }

    /// What it is for: the long text, or the short one.
    pub fn description(&self) -> String {
        // SAFETY: strings of the specification.
        let (blurb, nick) = unsafe { (text(self.raw().blurb), text(self.raw().nick)) };
        if blurb.is_empty() { nick } else { blurb }
    }

    pub fn held(&self) -> Held {
        const ENUM: usize = 12 << 2;
        let kind = self.raw().value_type;
        // SAFETY: any type.
        if unsafe { (self.gegl.functions.g_type_fundamental)(kind) } == ENUM {
            return Held::Enum;
        }
        match self.gegl.type_name(kind).as_str() {
            "gdouble" => Held::Double,
            "gfloat" => Held::Float,
            "gint" => Held::Int,
            "guint" => Held::UInt,
            "gboolean" => Held::Boolean,
            "gchararray" => Held::Text,
            "GeglColor" => Held::Color,
            "GeglPath" => Held::Path,
            "GeglCurve" => Held::Curve,
            _ => Held::Other,
        }
    }

    /// Limits of a number.
    pub fn range(&self) -> (f64, f64) {
        fn read<T: Copy + Into<f64>>(spec: NonNull<ParamSpec>) -> (f64, f64) {
            // SAFETY: the caller looked at the type of the value, and GEGL's specifications of numbers begin as GLib's.
            let range = unsafe { spec.cast::<RangeSpec<T>>().as_ref() };
            (range.minimum.into(), range.maximum.into())
        }
        match self.held() {
            Held::Double => read::<f64>(self.spec),
            Held::Float => read::<f32>(self.spec),
            Held::Int => read::<i32>(self.spec),
            Held::UInt => read::<u32>(self.spec),
            _ => (0.0, 0.0),
        }
    }

    /// Values of an enumeration with their names, in its order.
    pub fn choices(&self) -> Vec<(i32, String)> {
        if self.held() != Held::Enum {
            return Vec::new();
        }
        // SAFETY: the type is an enumeration, whose class holds `count` values; it is kept.
        unsafe {
            let class = (self.gegl.functions.g_type_class_ref)(self.raw().value_type).cast::<EnumClass>();
            let values = std::slice::from_raw_parts((*class).values, (*class).count as usize);
            values.iter().map(|value| (value.value, text(value.nick))).collect()
        }
    }

    /// The default value.
    pub fn default(&self) -> Option<Value> {
        let functions = &self.gegl.functions;
        let mut value = RawValue { kind: 0, data: [0; 2] };
        // SAFETY: an empty value is given the property's own type, set to its default, read as that type and emptied.
        unsafe {
            (functions.g_value_init)(&raw mut value, self.raw().value_type);
            (functions.g_param_value_set_default)(self.spec.as_ptr(), &raw mut value);
            let read = &raw const value;
            let found = match self.held() {
                Held::Double => Some(Value::Number((functions.g_value_get_double)(read))),
                Held::Float => Some(Value::Number((functions.g_value_get_float)(read).into())),
                Held::Int => Some(Value::Int((functions.g_value_get_int)(read).into())),
                Held::UInt => Some(Value::Int((functions.g_value_get_uint)(read).into())),
                Held::Boolean => Some(Value::Boolean((functions.g_value_get_boolean)(read) != 0)),
                Held::Enum => {
                    let number = (functions.g_value_get_enum)(read);
                    let choice = self.choices().into_iter().find(|(value, _)| *value == number);
                    choice.map(|(_, name)| Value::Text(name))
                }
                Held::Text => Some(Value::Text(text((functions.g_value_get_string)(read)))),
                Held::Color => {
                    let color = (functions.g_value_get_object)(read);
                    (!color.is_null()).then(|| Value::Color(self.gegl.rgba(color)))
                }
                Held::Path => Some(Value::Text(String::new())),
                Held::Curve => Some(Value::Text(STRAIGHT.into())),
                Held::Other => None,
            };
            (functions.g_value_unset)(&raw mut value);
            found
        }
    }
}

impl Gegl {
    /// Linear red, green, blue and alpha of a colour.
    ///
    /// # Safety
    /// `color` is one.
    unsafe fn rgba(&self, color: *mut Opaque) -> [f64; 4] {
        let mut rgba = [0.0; 4];
        let [r, g, b, a] = rgba.each_mut().map(|part| &raw mut *part);
        // SAFETY: as the caller says; writes the four numbers.
        unsafe { (self.functions.gegl_color_get_rgba)(color, r, g, b, a) };
        rgba
    }
}

/// A graph of nodes, which goes when this is dropped.
pub(crate) struct Graph<'g> {
    gegl: &'g Gegl,
    root: *mut Opaque,
}

/// A node of a graph; of no use after it.
#[derive(Clone, Copy)]
pub(crate) struct Node(*mut Opaque);

impl Graph<'_> {
    /// Adds a node of that operation, which must exist: GEGL makes a pass-through of an unknown one.
    pub fn add(&self, operation: &str) -> Option<Node> {
        if !self.gegl.has(operation) {
            return None;
        }
        // SAFETY: the node belongs to the graph.
        let node = unsafe { (self.gegl.functions.gegl_node_create_child)(self.root, c(operation).as_ptr()) };
        (!node.is_null()).then_some(Node(node))
    }

    /// Adds a node that gives out a picture. It is read from `pixels` for as long as the graph lives.
    pub fn add_picture<'p>(&'p self, pixels: &'p [u8], rect: Box, depth: Depth) -> Option<Node> {
        assert_eq!(pixels.len() as u64, rect.area() * depth.bytes() as u64, "pixels as many as the box has");
        let node = self.add("gegl:buffer-source")?;
        let functions = &self.gegl.functions;
        // SAFETY: the buffer reads `pixels`, which outlive it; the node holds the buffer from here on. GEGL writes to no
        // buffer that it is given as a source.
        unsafe {
            let format = self.gegl.format(depth);
            let data = pixels.as_ptr().cast();
            let buffer =
                (functions.gegl_buffer_linear_new_from_data)(data, format, &raw const rect, 0, null(), null_mut());
            self.set_object(node, "buffer", buffer);
        }
        Some(node)
    }

    /// Adds a node that gives out an empty picture, which takes no memory.
    pub fn add_empty(&self, rect: Box, depth: Depth) -> Option<Node> {
        let node = self.add("gegl:buffer-source")?;
        // SAFETY: makes a buffer whose parts are there when they are written to; the node holds it from here on.
        unsafe {
            let buffer = (self.gegl.functions.gegl_buffer_new)(&raw const rect, self.gegl.format(depth));
            self.set_object(node, "buffer", buffer);
        }
        Some(node)
    }

    /// The property of that name.
    pub fn property(&self, node: Node, name: &str) -> Option<Spec<'_>> {
        // SAFETY: a node of this graph; reads the string.
        self.gegl.spec(unsafe { (self.gegl.functions.gegl_node_find_property)(node.0, c(name).as_ptr()) })
    }

    /// Sets a property; what is out of range comes to its edge. False when the value is of another type.
    pub fn set(&self, node: Node, spec: Spec<'_>, value: &Value) -> bool {
        let functions = &self.gegl.functions;
        let mut raw = RawValue { kind: 0, data: [0; 2] };
        let to = &raw mut raw;
        // SAFETY: an empty value is given the property's own type, set as that type and emptied.
        unsafe {
            match (spec.held(), value) {
                (Held::Color, Value::Color([r, g, b, a])) => {
                    let color = (functions.gegl_color_new)(c"black".as_ptr());
                    (functions.gegl_color_set_rgba)(color, *r, *g, *b, *a);
                    self.set_object(node, &spec.name(), color);
                    return true;
                }
                (Held::Path, Value::Text(path)) => {
                    let path = (functions.gegl_path_new_from_string)(c(path).as_ptr());
                    self.set_object(node, &spec.name(), path);
                    return true;
                }
                (Held::Curve, Value::Text(text)) => {
                    let Some(points) = points(text) else { return false };
                    let curve = (functions.gegl_curve_new)(0.0, 1.0);
                    for [x, y] in points {
                        (functions.gegl_curve_add_point)(curve, x, y);
                    }
                    self.set_object(node, &spec.name(), curve);
                    return true;
                }
                _ => {}
            }
            (functions.g_value_init)(to, spec.raw().value_type);
            let fits = match (spec.held(), value) {
                (Held::Double, Value::Number(number)) => {
                    (functions.g_value_set_double)(to, *number);
                    true
                }
                (Held::Float, Value::Number(number)) => {
                    (functions.g_value_set_float)(to, *number as f32);
                    true
                }
                (Held::Int, Value::Int(number)) => {
                    (functions.g_value_set_int)(to, (*number).clamp(i32::MIN.into(), i32::MAX.into()) as c_int);
                    true
                }
                (Held::UInt, Value::Int(number)) => {
                    (functions.g_value_set_uint)(to, (*number).clamp(0, u32::MAX.into()) as c_uint);
                    true
                }
                (Held::Boolean, Value::Boolean(yes)) => {
                    (functions.g_value_set_boolean)(to, c_int::from(*yes));
                    true
                }
                (Held::Enum, Value::Text(name)) => match spec.choices().into_iter().find(|(_, nick)| nick == name) {
                    Some((number, _)) => {
                        (functions.g_value_set_enum)(to, number);
                        true
                    }
                    None => false,
                },
                (Held::Text, Value::Text(string)) => {
                    (functions.g_value_set_string)(to, c(string).as_ptr());
                    true
                }
                _ => false,
            };
            if fits {
                (functions.g_param_value_validate)(spec.spec.as_ptr(), to);
                (functions.gegl_node_set_property)(node.0, c(&spec.name()).as_ptr(), to);
            }
            (functions.g_value_unset)(to);
            fits
        }
    }

    /// Hands an object over to a property.
    ///
    /// # Safety
    /// `object` is of the property's type, and ours to give away.
    unsafe fn set_object(&self, node: Node, name: &str, object: *mut Opaque) {
        let functions = &self.gegl.functions;
        let mut raw = RawValue { kind: 0, data: [0; 2] };
        let Some(spec) = self.property(node, name) else { return };
        // SAFETY: as the caller says; the value holds a reference of its own until it is emptied, ours is dropped.
        unsafe {
            (functions.g_value_init)(&raw mut raw, spec.raw().value_type);
            (functions.g_value_set_object)(&raw mut raw, object);
            (functions.gegl_node_set_property)(node.0, c(name).as_ptr(), &raw const raw);
            (functions.g_value_unset)(&raw mut raw);
            (functions.g_object_unref)(object);
        }
    }

    /// Leads the output of one node to an input pad of another; false where there is no such pad.
    pub fn connect(&self, from: Node, to: Node, pad: &str) -> bool {
        let connect = self.gegl.functions.gegl_node_connect_to;
        // SAFETY: nodes of this graph; reads the strings.
        unsafe { connect(from.0, c"output".as_ptr(), to.0, c(pad).as_ptr()) != 0 }
    }

    /// Names of the input pads of a node.
    pub fn pads(&self, node: Node) -> Vec<String> {
        let mut pads = Vec::new();
        // SAFETY: returns null or strings up to a null, all ours to free.
        unsafe {
            let list = (self.gegl.functions.gegl_node_list_input_pads)(node.0);
            if list.is_null() {
                return pads;
            }
            let mut at = list;
            while !(*at).is_null() {
                pads.push(text(*at));
                (self.gegl.functions.g_free)((*at).cast());
                at = at.add(1);
            }
            (self.gegl.functions.g_free)(list.cast());
        }
        pads
    }

    /// True when a node gives out a picture.
    pub fn has_output(&self, node: Node) -> bool {
        // SAFETY: a node of this graph; reads the string.
        unsafe { (self.gegl.functions.gegl_node_has_pad)(node.0, c"output".as_ptr()) != 0 }
    }

    /// The box that the output of a node covers.
    pub fn bounds(&self, node: Node) -> Box {
        // SAFETY: a node of this graph.
        unsafe { (self.gegl.functions.gegl_node_get_bounding_box)(node.0) }
    }

    /// False when the output of a node is in a format without alpha: what lies outside of its box is black then, and
    /// not transparent.
    pub fn has_alpha(&self, node: Node) -> bool {
        // Formats are chosen when boxes are.
        self.bounds(node);
        let format = self.output_format(node);
        // SAFETY: a format, which lives for ever.
        format.is_none_or(|format| unsafe { (self.gegl.functions.babl_format_has_alpha)(format) != 0 })
    }

    /// The format of the output of a node, as it was chosen when boxes were asked for last.
    fn output_format(&self, node: Node) -> Option<*const Opaque> {
        let functions = &self.gegl.functions;
        // SAFETY: a node of this graph; its operation and format belong to GEGL.
        unsafe {
            let operation = (functions.gegl_node_get_gegl_operation)(node.0);
            if operation.is_null() {
                return None;
            }
            let format = (functions.gegl_operation_get_format)(operation, c"output".as_ptr());
            (!format.is_null()).then_some(format)
        }
    }

    /// A node that gives out the picture of `node` in colour, where that is in a format of greys. Boxes must have been
    /// asked for.
    pub fn add_colour(&self, node: Node) -> Option<Node> {
        let functions = &self.gegl.functions;
        let format = self.output_format(node)?;
        // SAFETY: a format, which lives for ever.
        let (components, alpha) =
            unsafe { ((functions.babl_format_get_n_components)(format), (functions.babl_format_has_alpha)(format)) };
        let name = match (components, alpha) {
            (1, 0) => c"RGB float",
            (2, 1) => c"RGBA float",
            _ => return None,
        };
        let colour = self.add("gegl:convert-format")?;
        let spec = self.property(colour, "format")?;
        let mut raw = RawValue { kind: 0, data: [0; 2] };
        // SAFETY: the property takes a pointer to a format; an empty value is given that type, set and emptied.
        unsafe {
            (functions.g_value_init)(&raw mut raw, spec.raw().value_type);
            (functions.g_value_set_pointer)(&raw mut raw, (functions.babl_format)(name.as_ptr()));
            (functions.gegl_node_set_property)(colour.0, c"format".as_ptr(), &raw const raw);
            (functions.g_value_unset)(&raw mut raw);
        }
        self.connect(node, colour, "input").then_some(colour)
    }

    /// Makes the pixels of a part of a node's output.
    pub fn render(&self, node: Node, region: Box, depth: Depth) -> Vec<u8> {
        let mut pixels = vec![0u8; (region.area() * depth.bytes() as u64) as usize];
        let row = region.width * depth.bytes() as c_int;
        // SAFETY: GEGL writes `height` rows of `row` bytes each.
        unsafe {
            let format = self.gegl.format(depth);
            let blit = self.gegl.functions.gegl_node_blit;
            blit(node.0, 1.0, &raw const region, format, pixels.as_mut_ptr().cast(), row, 0);
        }
        pixels
    }
}

impl Drop for Graph<'_> {
    fn drop(&mut self) {
        // SAFETY: ours; its nodes go with it.
        unsafe { (self.gegl.functions.g_object_unref)(self.root) };
    }
}

#[cfg(test)]
mod tests {
    use super::points;

    #[test]
    fn curves_are_points_with_spaces_between() {
        assert_eq!(points("0,0 0.5,0.7\t1,1"), Some(vec![[0.0, 0.0], [0.5, 0.7], [1.0, 1.0]]));
        for text in ["", "0", "0,", "0,0,0", "0,inf", "a,b", &"0,0 ".repeat(300)] {
            assert_eq!(points(text), None, "{text}");
        }
    }
}
