//! `[state]`.

use super::Problem;
use crate::config::model::State;
use crate::config::raw::Section;

pub(super) fn read(section: &mut Section<'_>) -> State {
    let file = section.setting("file", None, |value| if value.is_off() { Some(None) } else { value.file().map(Some) });
    if let Some(path) = file.value.as_ref().filter(|path| path.file_name().is_none()) {
        let message = format!("{} is a folder, not a file", path.display());
        section.add(Problem::error(&file.place, message).hint(r#"for example "/var/lib/portti/state.json""#));
    }
    State { file: file.value }
}
