//! Colours and letters, of the page and of every picture. The colours are told apart by people who see some of them alike,
//! and each can be read as text on its background.

/// Characters of every plot are this large, its title apart.
pub(crate) const TEXT: f64 = 12.0;
/// And its title.
pub(crate) const TITLE: f64 = 15.0;
/// The size at which usual letters are as wide as those of a title, which are bold.
pub(crate) const TITLE_WIDTH: f64 = TITLE * 1.12;
/// Lines that a plot draws at most: as many as there are colours.
pub(crate) const LINES: usize = SERIES.len();

/// What one reader sees by day, another by night.
#[derive(Clone, Copy)]
struct Colour {
    light: &'static str,
    dark: &'static str,
}

const fn colour(light: &'static str, dark: &'static str) -> Colour {
    Colour { light, dark }
}

const SURFACE: Colour = colour("#ffffff", "#15181c");
const INK: Colour = colour("#1b1f24", "#eceff2");
const MUTED: Colour = colour("#505861", "#a7b0ba");
const GRID: Colour = colour("#e6e9ed", "#2b3037");
const AXIS: Colour = colour("#9aa2ab", "#5d666f");
const BAND: Colour = colour("#f3f5f7", "#1d2126");
const ACCENT: Colour = SERIES[0];
const SERIES: [Colour; 8] = [
    colour("#0b62a4", "#5cb3f0"),
    colour("#b84a00", "#ff9a5c"),
    colour("#00745a", "#3fcf9f"),
    colour("#8f3f86", "#e08fd6"),
    colour("#7a6200", "#e3c542"),
    colour("#1f7a8c", "#6fd3e0"),
    colour("#a3174f", "#ff8fb3"),
    colour("#4b4fa8", "#a5a9ff"),
];

const FONTS: &str = "system-ui,-apple-system,\"Segoe UI\",Roboto,\"Noto Sans\",\"Liberation Sans\",Arial,sans-serif";

/// Which colours the rules take.
type Pick = fn(Colour) -> &'static str;

fn colours_of_plots(pick: Pick) -> String {
    let [surface, ink, muted, grid] = [SURFACE, INK, MUTED, GRID].map(pick);
    let [axis, band] = [AXIS, BAND].map(pick);
    let mut css = format!(
        ".plot .surface{{fill:{surface}}}\n.plot text{{fill:{muted}}}\n.plot .title{{fill:{ink}}}\n\
         .plot .grid{{stroke:{grid}}}\n.plot .axis{{stroke:{axis}}}\n.plot .band{{fill:{band}}}\n\
         .plot .theory,.plot .mark{{stroke:{muted}}}\n.plot .lead{{stroke:{axis}}}\n\
         .plot .ring{{fill:{surface}}}\n"
    );
    for (at, colour) in SERIES.into_iter().map(pick).enumerate() {
        css += &format!(".plot .f{at}{{fill:{colour}}}.plot .l{at}{{stroke:{colour}}}\n");
    }
    css
}

/// The rules of plots, for a picture of its own or for a page full of them.
pub(crate) fn of_plots() -> String {
    format!(
        ".plot{{font-family:{FONTS};font-size:{TEXT}px}}\n\
         .plot .title{{font-size:{TITLE}px;font-weight:600}}\n\
         .plot .line,.plot .theory,.plot .fit{{fill:none;stroke-width:1.8;stroke-linejoin:round;stroke-linecap:round}}\n\
         .plot .theory{{stroke-width:1.5;stroke-dasharray:5 4;stroke-linecap:butt}}\n\
         .plot .fit{{stroke-width:1;stroke-opacity:.75}}\n.plot .ring{{stroke-width:1.8}}\n\
         .plot .mark{{stroke-width:1;stroke-dasharray:2 2}}\n.plot .lead{{stroke-width:.75}}\n\
         .plot .bar{{fill-opacity:.82}}\n\n\
         {}@media (prefers-color-scheme:dark){{\n{}}}\n",
        colours_of_plots(|colour| colour.light),
        colours_of_plots(|colour| colour.dark),
    )
}

/// The rules of the page around them.
pub(crate) fn of_page() -> String {
    let variables = |pick: Pick| {
        let [surface, ink, muted, grid] = [SURFACE, INK, MUTED, GRID].map(pick);
        let [band, accent] = [BAND, ACCENT].map(pick);
        format!(
            ":root{{--surface:{surface};--ink:{ink};--muted:{muted};--rule:{grid};--band:{band};--accent:{accent}}}\n"
        )
    };
    let (light, dark) = (variables(|colour| colour.light), variables(|colour| colour.dark));
    format!(
        "{light}@media (prefers-color-scheme:dark){{{dark}}}\n:root{{color-scheme:light dark;--fonts:{FONTS}}}\n{PAGE}{}",
        of_plots()
    )
}

const PAGE: &str = "\
*{box-sizing:border-box}
body{margin:0;background:var(--surface);color:var(--ink);font:16px/1.55 var(--fonts);-webkit-text-size-adjust:100%}
main{max-width:1080px;margin:0 auto;padding:32px 16px 64px}
h1{font-size:28px;line-height:1.2;margin:0 0 8px}
h2{font-size:20px;line-height:1.3;margin:56px 0 8px;padding-top:16px;border-top:1px solid var(--rule)}
p{max-width:68ch;margin:8px 0;white-space:pre-line}
a{color:var(--accent)}
.notice{border-left:4px solid var(--accent);background:var(--band);padding:8px 12px;margin:16px 0}
nav{margin:12px 0 24px;display:flex;flex-wrap:wrap;gap:4px 18px}
.totals{display:grid;grid-template-columns:repeat(auto-fit,minmax(136px,1fr));gap:16px;margin:24px 0;padding:0}
.totals div{display:flex;flex-direction:column-reverse;justify-content:flex-end}
.totals dd{margin:0;font-size:20px;font-weight:600;line-height:1.25;font-variant-numeric:tabular-nums}
.totals dt{color:var(--muted);font-size:13px}
.figure{display:grid;grid-template-columns:minmax(0,560px) minmax(0,1fr);gap:8px 32px;align-items:start;margin:28px 0}
.table{overflow-x:auto;margin:20px 0}
.plot{display:block;width:100%;height:auto}
/* The picture has an edge of its own, and its title stands below the text's beginning. */
.figure>.plot{width:calc(100% + 30px);margin:0 -15px}
.tables{display:flex;flex-wrap:wrap;gap:0 56px}
/* The title stands above the picture beside it already. */
.figure caption{position:absolute;width:1px;height:1px;padding:0;overflow:hidden;clip-path:inset(50%);white-space:nowrap}
.figure .table{position:relative;margin-top:36px}
table{border-collapse:collapse;font-size:13px;line-height:1.4;font-variant-numeric:tabular-nums}
caption{text-align:left;font-weight:600;padding:0 0 6px}
th,td{text-align:left;vertical-align:top;padding:4px 16px 4px 0;border-bottom:1px solid var(--rule)}
th:last-child,td:last-child{padding-right:2px}
thead th{color:var(--muted);font-weight:400;vertical-align:bottom;border-bottom-color:var(--muted)}
tbody th{font-weight:400}
.number{text-align:right}
.note,footer{color:var(--muted);font-size:13px}
.note{margin:6px 0 0}
pre{overflow-x:auto;background:var(--band);padding:10px 12px;margin:12px 0;font:13px/1.45 ui-monospace,Menlo,Consolas,monospace}
@media (max-width:820px){.figure{grid-template-columns:minmax(0,1fr)}.figure .table{margin-top:0}main{padding-top:20px}h1{font-size:24px}}
@media print{.figure{break-inside:avoid}}
";

#[cfg(test)]
mod tests {
    use super::*;

    fn luminance(colour: &str) -> f64 {
        let channel = |at: usize| {
            let value = f64::from(u8::from_str_radix(&colour[at..at + 2], 16).unwrap()) / 255.0;
            if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * channel(1) + 0.7152 * channel(3) + 0.0722 * channel(5)
    }

    fn contrast(one: &str, other: &str) -> f64 {
        let (one, other) = (luminance(one) + 0.05, luminance(other) + 0.05);
        (one / other).max(other / one)
    }

    #[test]
    fn every_text_can_be_read_by_day_and_by_night() {
        for colour in SERIES.into_iter().chain([INK, MUTED]) {
            for ground in [SURFACE, BAND] {
                let [day, night] =
                    [contrast(colour.light, ground.light), contrast(colour.dark, ground.dark)];
                assert!(day >= 4.5 && night >= 4.5, "{} {day} {night}", colour.light);
            }
        }
    }
}
