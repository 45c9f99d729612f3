//! A page's header, in Thrift's compact protocol, as far as it is needed to bound the page.
//!
//! It must never allocate by what a header says: the crate's own reader takes its sizes on trust, and unpacks a page to
//! whatever comes out.

/// The longest header, in bytes; statistics may be in it.
pub(super) const MAX_HEADER_BYTES: u64 = 64 << 10;
const MAX_DEPTH: usize = 8;

#[derive(Debug, PartialEq, Eq)]
pub(super) struct PageHeader {
    pub packed_bytes: u64,
    pub unpacked_bytes: u64,
    pub kind: PageKind,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum PageKind {
    Data {
        values: u32,
        encoding: i64,
        levels: i64,
    },
    DataV2 {
        values: u32,
        nulls: u32,
        rows: u32,
        encoding: i64,
        definition_bytes: u32,
        repetition_bytes: u32,
        packed: bool,
    },
    Dictionary {
        values: u32,
        encoding: i64,
    },
    /// Passed over.
    Index,
}

impl PageHeader {
    /// The header at the start of these bytes, and its length.
    pub fn parse(bytes: &[u8]) -> Result<(Self, u64), String> {
        let mut reader = Thrift { bytes, at: 0 };
        let fields = reader.fields(0)?;
        let size =
            |id: i16| u64::try_from(number(&fields, id)?).map_err(|_| "a page of fewer than no bytes".to_owned());
        let kind = match number(&fields, 1)? {
            0 => data(inner(&fields, 5)?)?,
            1 => PageKind::Index,
            2 => {
                let dictionary = inner(&fields, 7)?;
                PageKind::Dictionary { values: count(dictionary, 1)?, encoding: number(dictionary, 2)? }
            }
            3 => data_v2(inner(&fields, 8)?)?,
            other => return Err(format!("a page of kind {other}")),
        };
        Ok((Self { packed_bytes: size(3)?, unpacked_bytes: size(2)?, kind }, reader.at as u64))
    }
}

fn data(fields: &[(i16, Value)]) -> Result<PageKind, String> {
    Ok(PageKind::Data { values: count(fields, 1)?, encoding: number(fields, 2)?, levels: number(fields, 3)? })
}

fn data_v2(fields: &[(i16, Value)]) -> Result<PageKind, String> {
    Ok(PageKind::DataV2 {
        values: count(fields, 1)?,
        nulls: count(fields, 2)?,
        rows: count(fields, 3)?,
        encoding: number(fields, 4)?,
        definition_bytes: count(fields, 5)?,
        repetition_bytes: count(fields, 6)?,
        packed: find(fields, 7).is_none_or(|value| *value != Value::Number(0)),
    })
}

#[derive(Debug, PartialEq, Eq)]
enum Value {
    /// A truth value is 1 or 0.
    Number(i64),
    Fields(Vec<(i16, Value)>),
    /// Statistics and the like.
    Skipped,
}

fn find(fields: &[(i16, Value)], id: i16) -> Option<&Value> {
    fields.iter().find(|(found, _)| *found == id).map(|(_, value)| value)
}

fn number(fields: &[(i16, Value)], id: i16) -> Result<i64, String> {
    match find(fields, id) {
        Some(Value::Number(number)) => Ok(*number),
        Some(Value::Fields(_) | Value::Skipped) | None => Err(format!("a page header without field {id}")),
    }
}

fn count(fields: &[(i16, Value)], id: i16) -> Result<u32, String> {
    let number = number(fields, id)?;
    u32::try_from(number).map_err(|_| format!("a page header whose field {id} is {number}"))
}

fn inner(fields: &[(i16, Value)], id: i16) -> Result<&[(i16, Value)], String> {
    match find(fields, id) {
        Some(Value::Fields(fields)) => Ok(fields),
        Some(Value::Number(_) | Value::Skipped) | None => Err(format!("a page header without field {id}")),
    }
}

struct Thrift<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Thrift<'_> {
    fn fields(&mut self, depth: usize) -> Result<Vec<(i16, Value)>, String> {
        if depth > MAX_DEPTH {
            return Err("a page header that is nested too deeply".to_owned());
        }
        let (mut fields, mut id) = (Vec::new(), 0_i16);
        loop {
            let head = self.byte()?;
            if head == 0 {
                return Ok(fields);
            }
            id = match head >> 4 {
                0 => self.signed()? as i16,
                step => id.wrapping_add(i16::from(step)),
            };
            let value = self.value(head & 0xf, depth)?;
            fields.push((id, value));
        }
    }

    fn value(&mut self, kind: u8, depth: usize) -> Result<Value, String> {
        match kind {
            1 => Ok(Value::Number(1)),
            2 => Ok(Value::Number(0)),
            12 => self.fields(depth + 1).map(Value::Fields),
            _ => self.element(kind, depth),
        }
    }

    /// As [`Self::value`], but that a truth value takes a byte here.
    fn element(&mut self, kind: u8, depth: usize) -> Result<Value, String> {
        match kind {
            1..=3 => self.skip(1),
            4..=6 => self.signed().map(Value::Number),
            7 => self.skip(8),
            8 => {
                let length = self.unsigned()?;
                self.skip(length)
            }
            9 | 10 => {
                let head = self.byte()?;
                let length = if head >> 4 == 15 { self.unsigned()? } else { u64::from(head >> 4) };
                // Each element takes a byte at least, so that the bytes bound the loop.
                for _ in 0..length {
                    self.nested(head & 0xf, depth)?;
                }
                Ok(Value::Skipped)
            }
            12 => self.fields(depth + 1).map(|_| Value::Skipped),
            other => Err(format!("a page header with a field of type {other}")),
        }
    }

    fn nested(&mut self, kind: u8, depth: usize) -> Result<Value, String> {
        if depth >= MAX_DEPTH {
            return Err("a page header that is nested too deeply".to_owned());
        }
        self.element(kind, depth + 1)
    }

    fn byte(&mut self) -> Result<u8, String> {
        let byte = self.bytes.get(self.at).copied().ok_or("a page header that does not end")?;
        self.at += 1;
        Ok(byte)
    }

    fn skip(&mut self, length: u64) -> Result<Value, String> {
        if length > (self.bytes.len() - self.at) as u64 {
            return Err("a page header that does not end".to_owned());
        }
        self.at += length as usize;
        Ok(Value::Skipped)
    }

    fn unsigned(&mut self) -> Result<u64, String> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err("a page header with a number that does not end".to_owned())
    }

    fn signed(&mut self) -> Result<i64, String> {
        self.unsigned().map(|number| (number >> 1) as i64 ^ -((number & 1) as i64))
    }
}
