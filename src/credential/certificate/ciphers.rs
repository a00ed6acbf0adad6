//! The ciphers of PKCS#12 files that are not read here, by their names.

use super::ber::{Element, OBJECT_ID, OCTETS};

/// Object ids and what OpenSSL calls them.
const UNREAD: [(&[u8], &str); 12] = [
    (b"\x2a\x86\x48\x86\xf7\x0d\x01\x0c\x01\x01", "PBE-SHA1-RC4-128"),
    (b"\x2a\x86\x48\x86\xf7\x0d\x01\x0c\x01\x02", "PBE-SHA1-RC4-40"),
    (b"\x2a\x86\x48\x86\xf7\x0d\x01\x0c\x01\x04", "PBE-SHA1-2DES"),
    (b"\x2a\x86\x48\x86\xf7\x0d\x01\x0c\x01\x05", "PBE-SHA1-RC2-128"),
    (b"\x2a\x86\x48\x86\xf7\x0d\x01\x05\x03", "PBE-MD5-DES"),
    (b"\x2a\x86\x48\x86\xf7\x0d\x01\x05\x06", "PBE-MD5-RC2-64"),
    (b"\x2a\x86\x48\x86\xf7\x0d\x01\x05\x0a", "PBE-SHA1-DES"),
    (b"\x2a\x86\x48\x86\xf7\x0d\x01\x05\x0b", "PBE-SHA1-RC2-64"),
    (b"\x2a\x86\x48\x86\xf7\x0d\x03\x02", "RC2-CBC"),
    (b"\x2a\x86\x48\x86\xf7\x0d\x03\x07", "DES-EDE3-CBC"),
    (b"\x2a\x83\x08\x8c\x9a\x4b\x3d\x01\x01\x01\x02", "CAMELLIA-128-CBC"),
    (b"\x2a\x83\x08\x8c\x9a\x4b\x3d\x01\x01\x01\x04", "CAMELLIA-256-CBC"),
];

/// Contents hold contents, which hold keys. Nothing is deeper, and the bound keeps a file from using up the stack.
const DEEPEST: u32 = 4;

/// The first of them that these contents name.
pub(super) fn unread(contents: &[u8]) -> Option<&'static str> {
    in_bytes(contents, DEEPEST)
}

fn in_bytes(bytes: &[u8], deepest: u32) -> Option<&'static str> {
    in_element(&Element::first(bytes)?, deepest.checked_sub(1)?)
}

fn in_element(element: &Element<'_>, deepest: u32) -> Option<&'static str> {
    if element.tag == OBJECT_ID {
        return UNREAD.iter().find(|(id, _)| *id == element.bytes()).map(|(_, name)| *name);
    }
    // What is not encrypted may hold keys that are.
    let inside = || if element.tag == OCTETS { in_bytes(element.bytes(), deepest) } else { None };
    element.parts().iter().find_map(|part| in_element(part, deepest)).or_else(inside)
}
