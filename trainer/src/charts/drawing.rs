//! An SVG document under way: shapes and text by class, one style sheet for light and dark.

use std::fmt::Write;

/// Colours by class; the second block holds where the reader's system is dark.
const STYLE: &str = "
text { font: 12px system-ui, 'Segoe UI', Roboto, Helvetica, Arial, sans-serif; fill: #1d2126 }
.title { font-size: 16px; font-weight: 600 }
.small { font-size: 10.5px }
.muted { fill: #5b636d }
.strong { font-weight: 600 }
.on { fill: #ffffff }
.paper { fill: #ffffff }
.cell { fill: #1f63c9 }
.frame { fill: none; stroke: #d5dae0 }
.grid { stroke: #e6e9ed }
.ideal { stroke: #5b636d; stroke-dasharray: 5 4 }
.bar { fill: #4d86de }
.gap { fill: #d3455b; fill-opacity: 0.28; stroke: #d3455b }
.count { fill: #a9b3be }
.curve { fill: none; stroke: #b45f06; stroke-width: 2 }
.dot { fill: #b45f06 }
.line { fill: none; stroke-width: 2 }
.dashed { stroke-dasharray: 5 4; stroke-width: 1.4 }
.interval { stroke: #1d2126; stroke-width: 1.4 }
.c0 { stroke: #1f63c9 }
.c1 { stroke: #b45f06 }
.c2 { stroke: #2e7d4f }
.c3 { stroke: #c2255c }
.c4 { stroke: #6741d9 }
.c5 { stroke: #0b7285 }
.c6 { stroke: #866a00 }
.c7 { stroke: #5b636d }
.c8 { stroke: #a61e4d }
.c9 { stroke: #364fc7 }
@media (prefers-color-scheme: dark) {
text { fill: #e6e9ed }
.muted { fill: #9aa4af }
.on { fill: #ffffff }
.paper { fill: #15181c }
.cell { fill: #4b8df0 }
.frame { stroke: #3a424b }
.grid { stroke: #2a3037 }
.ideal { stroke: #9aa4af }
.bar { fill: #5b95ea }
.gap { fill: #ff7d90; stroke: #ff7d90 }
.count { fill: #5d6874 }
.curve { stroke: #f3b25e }
.dot { fill: #f3b25e }
.interval { stroke: #e6e9ed }
.c0 { stroke: #5b95ea }
.c1 { stroke: #f3b25e }
.c2 { stroke: #63c58c }
.c3 { stroke: #ff7d9f }
.c4 { stroke: #a78bfa }
.c5 { stroke: #4fc3d8 }
.c6 { stroke: #d6b53c }
.c7 { stroke: #9aa4af }
.c8 { stroke: #f783ac }
.c9 { stroke: #91a7ff }
}
";

/// Which end of a text stands at its position.
#[derive(Clone, Copy)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// Width of a character of a title, about, in pixels.
const TITLE_CHARACTER: f64 = 9.0;
/// Left edge of title and caption.
const MARGIN: f64 = 20.0;

/// A document of some width and height in pixels.
pub(super) struct Drawing {
    body: String,
}

impl Drawing {
    /// A sheet with nothing but its title, cut to fit, and a caption; screen readers say `kind` and title.
    pub fn new(width: f64, height: f64, kind: &str, title: &str, caption: &str) -> Self {
        let mut drawing = Self::empty(width, height, &format!("{kind}: {title}"));
        let fits = ((width - 2.0 * MARGIN) / TITLE_CHARACTER) as usize;
        drawing.text("title", (MARGIN, 28.0), Anchor::Start, &shortened(title, fits));
        drawing.text("muted", (MARGIN, 48.0), Anchor::Start, caption);
        drawing
    }

    fn empty(width: f64, height: f64, title: &str) -> Self {
        let title = escape(title);
        let body = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" width=\"{width:.0}\" \
             height=\"{height:.0}\" role=\"img\" aria-label=\"{title}\">\n<title>{title}</title>\n<style>{STYLE}</style>\n\
             <rect class=\"paper\" width=\"{width:.0}\" height=\"{height:.0}\"/>\n"
        );
        Self { body }
    }

    /// A rectangle with a tooltip; `opacity` is that of its fill.
    pub fn rectangle(&mut self, class: &str, [x, y, width, height]: [f64; 4], opacity: f64, tooltip: &str) {
        self.add(format_args!(
            "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" \
             fill-opacity=\"{opacity:.3}\"><title>{}</title></rect>",
            escape(tooltip)
        ));
    }

    /// An empty rectangle's outline.
    pub fn frame(&mut self, [x, y, width, height]: [f64; 4]) {
        self.add(format_args!(
            "<rect class=\"frame\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\"/>"
        ));
    }

    pub fn line(&mut self, class: &str, from: (f64, f64), to: (f64, f64)) {
        self.add(format_args!(
            "<line class=\"{class}\" x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\"/>",
            from.0, from.1, to.0, to.1
        ));
    }

    /// A line through points, each marked by a dot with a tooltip.
    pub fn curve(&mut self, points: &[((f64, f64), String)]) {
        self.path("curve", points.iter().map(|(at, _)| *at));
        for ((x, y), tooltip) in points {
            self.add(format_args!(
                "<circle class=\"dot\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.5\"><title>{}</title></circle>",
                escape(tooltip)
            ));
        }
    }

    /// A line through points.
    pub fn path(&mut self, class: &str, points: impl Iterator<Item = (f64, f64)>) {
        let path: Vec<String> = points.map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        self.add(format_args!("<polyline class=\"{class}\" points=\"{}\"/>", path.join(" ")));
    }

    pub fn text(&mut self, class: &str, (x, y): (f64, f64), anchor: Anchor, text: &str) {
        self.turned_text(class, (x, y), anchor, 0.0, text);
    }

    /// Text turned by `degrees` clockwise around its position.
    pub fn turned_text(&mut self, class: &str, (x, y): (f64, f64), anchor: Anchor, degrees: f64, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let turn =
            if degrees == 0.0 { String::new() } else { format!(" transform=\"rotate({degrees:.0} {x:.1} {y:.1})\"") };
        self.add(format_args!(
            "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\"{turn}>{}</text>",
            escape(text)
        ));
    }

    pub fn finish(mut self) -> String {
        self.body.push_str("</svg>\n");
        self.body
    }

    fn add(&mut self, element: std::fmt::Arguments) {
        // Writing into a string cannot fail.
        let _ = writeln!(self.body, "{element}");
    }
}

/// Text of at most `longest` characters.
pub(super) fn shortened(text: &str, longest: usize) -> String {
    if text.chars().count() <= longest {
        return text.to_owned();
    }
    text.chars().take(longest.saturating_sub(1)).chain(['…']).collect()
}

/// Text as XML; characters that XML cannot hold are left out.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\t' | '\n' | '\r' => escaped.push(' '),
            '\u{0}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => {}
            other => escaped.push(other),
        }
    }
    escaped
}
