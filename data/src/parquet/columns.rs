//! Which columns of a Parquet file are the image, the caption, the key and the URL.
//!
//! It must never guess: a file without them is refused with the columns that it has.

use parquet::basic::Type;
use parquet::schema::types::SchemaDescriptor;

/// In the order in which they are preferred: img2dataset's formats, then Hugging Face's struct, then plain names.
const IMAGE: [&str; 8] = ["jpg", "jpeg", "png", "webp", "gif", "image.bytes", "image", "bytes"];
const CAPTION: [&str; 2] = ["caption", "text"];
const SHOWN_COLUMNS: usize = 20;
const SHOWN_CHARS: usize = 40;

pub(super) struct Columns {
    pub image: usize,
    pub caption: usize,
    pub key: Option<usize>,
    pub url: Option<usize>,
}

impl Columns {
    pub fn of(schema: &SchemaDescriptor) -> Result<Self, String> {
        let names: Vec<String> = schema.columns().iter().map(|column| column.path().string()).collect();
        let first = |wanted: &[&str]| wanted.iter().find_map(|wanted| names.iter().position(|name| name == wanted));
        let (Some(image), Some(caption)) = (first(&IMAGE), first(&CAPTION)) else {
            let short = |name: &String| name.chars().take(SHOWN_CHARS).collect::<String>();
            let shown: Vec<String> = names.iter().take(SHOWN_COLUMNS).map(short).collect();
            return Err(format!(
                "its columns are {}; expected one of {} for the image's bytes, and one of {} for the caption",
                shown.join(", "),
                IMAGE.join(", "),
                CAPTION.join(", ")
            ));
        };
        let columns = Self { image, caption, key: first(&["key"]), url: first(&["url"]) };
        for at in [Some(image), Some(caption), columns.key, columns.url].into_iter().flatten() {
            let column = schema.column(at);
            if column.physical_type() != Type::BYTE_ARRAY || column.max_rep_level() > 0 {
                let name = &names[at];
                return Err(format!(
                    "its column {name} is {} of level {}; expected plain bytes or text",
                    column.physical_type(),
                    column.max_rep_level()
                ));
            }
        }
        Ok(columns)
    }
}
