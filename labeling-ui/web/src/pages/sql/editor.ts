// The SQL editor: CodeMirror inside a shadow root, where it may use style sheets that are no style elements.

import { autocompletion, closeBrackets, closeBracketsKeymap, completionKeymap } from "@codemirror/autocomplete";
import { defaultKeymap, history, historyKeymap } from "@codemirror/commands";
import { sql, SQLDialect } from "@codemirror/lang-sql";
import { bracketMatching, HighlightStyle, syntaxHighlighting } from "@codemirror/language";
import { Compartment, EditorState, StateEffect, StateField, type Range } from "@codemirror/state";
import { Decoration, drawSelection, EditorView, keymap, lineNumbers, placeholder } from "@codemirror/view";
import { tags } from "@lezer/highlight";

export type Schema = Record<string, string[]>;

export interface Editor {
  set(text: string): void;
  learn(schema: Schema): void;
  /** Marks where a query goes wrong; line and column count from 1. */
  mark(at: { line: number; column: number } | null): void;
  focus(): void;
  destroy(): void;
}

/** The words of the language as it is asked here: reading only. A dialect made for all of PostgreSQL takes the names of
 * our columns for keywords. */
const dialect = SQLDialect.define({
  keywords:
    "select from where group by having order limit offset as on using join left right inner outer full cross natural " +
    "union all except intersect distinct with recursive case when then else end and or not in is like ilike between " +
    "exists asc desc nulls first last over partition rows range preceding following unbounded current row filter " +
    "cast interval timestamp date values true false null explain analyze show describe",
  types: "int bigint integer double float real varchar text boolean timestamp date interval",
  builtin: "count sum avg min max median stddev round coalesce array_agg date_trunc date_bin now",
  doubleDollarQuotedStrings: false,
});

const colours = HighlightStyle.define([
  { tag: tags.keyword, color: "var(--accent)", fontWeight: "640" },
  { tag: [tags.string, tags.special(tags.string)], color: "var(--good)" },
  { tag: [tags.number, tags.bool, tags.null], color: "var(--warn)" },
  { tag: tags.comment, color: "var(--ink3)", fontStyle: "italic" },
  { tag: [tags.typeName, tags.standard(tags.name)], color: "var(--ink)" },
]);

const look = EditorView.theme({
  "&": { color: "var(--ink)", fontSize: "13px", height: "100%", backgroundColor: "transparent" },
  "&.cm-focused": { outline: "none" },
  ".cm-scroller": { fontFamily: "var(--mono)", lineHeight: "1.55", overflow: "auto" },
  ".cm-content": { caretColor: "var(--ink)", padding: "10px 0" },
  ".cm-cursor": { borderLeftColor: "var(--ink)", borderLeftWidth: "2px" },
  ".cm-gutters": { color: "var(--ink3)", backgroundColor: "transparent", border: "0", paddingRight: "6px" },
  "&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-selectionBackground": {
    backgroundColor: "var(--accent-wash)",
  },
  ".cm-matchingBracket, &.cm-focused .cm-matchingBracket": {
    backgroundColor: "transparent",
    outline: "1px solid var(--edge)",
  },
  ".cm-placeholder": { color: "var(--ink3)" },
  ".cm-wrong": { textDecoration: "underline wavy var(--bad)", textUnderlineOffset: "4px" },
  ".cm-tooltip": {
    color: "var(--ink)",
    backgroundColor: "var(--surface)",
    border: "1px solid var(--line)",
    borderRadius: "8px",
    boxShadow: "var(--shadow)",
    overflow: "hidden",
  },
  ".cm-tooltip.cm-tooltip-autocomplete > ul": { fontFamily: "var(--mono)", maxHeight: "220px" },
  ".cm-tooltip.cm-tooltip-autocomplete > ul > li": { padding: "3px 10px" },
  ".cm-tooltip-autocomplete ul li[aria-selected]": { color: "var(--ink)", backgroundColor: "var(--accent-wash)" },
  ".cm-completionMatchedText": { textDecoration: "none", fontWeight: "640", color: "var(--accent)" },
});

/** Chrome, left to itself, keeps the look of text that is typed over by a style attribute, which the page's policy
 * forbids: so what is typed goes straight into the document. */
const typing = EditorView.domEventHandlers({
  beforeinput(event, view) {
    const { data } = event;
    if (event.inputType !== "insertText" || !data || view.composing || !event.cancelable) return false;
    const { from, to } = view.state.selection.main;
    const insert = () =>
      view.state.update(view.state.replaceSelection(data), { userEvent: "input.type", scrollIntoView: true });
    const isTaken = view.state.facet(EditorView.inputHandler).some((handle) => handle(view, from, to, data, insert));
    if (!isTaken) view.dispatch(insert());
    event.preventDefault();
    return true;
  },
});

const marking = StateEffect.define<{ from: number; to: number } | null>();
const wrong = StateField.define({
  create: () => Decoration.none,
  update(marks, transaction) {
    let now = transaction.docChanged ? Decoration.none : marks;
    for (const effect of transaction.effects) {
      if (!effect.is(marking)) continue;
      const ranges: Range<Decoration>[] = [];
      if (effect.value && effect.value.to > effect.value.from) {
        ranges.push(Decoration.mark({ class: "cm-wrong" }).range(effect.value.from, effect.value.to));
      }
      now = Decoration.set(ranges);
    }
    return now;
  },
  provide: (field) => EditorView.decorations.from(field),
});

/** `leave` is called on Esc: Tab then goes on through the page. */
export function editor(host: HTMLElement, text: string, changed: (text: string) => void, leave: () => void): Editor {
  const root = host.shadowRoot ?? host.attachShadow({ mode: "open" });
  const language = new Compartment();
  const speak = (schema: Schema) => sql({ dialect, schema, upperCaseKeywords: false });
  // The page's own key for "run" must reach the page.
  const keys = defaultKeymap.filter((binding) => binding.key !== "Mod-Enter");
  const view = new EditorView({
    parent: root,
    root,
    state: EditorState.create({
      doc: text,
      extensions: [
        lineNumbers(),
        history(),
        drawSelection(),
        bracketMatching(),
        closeBrackets(),
        autocompletion({ icons: false }),
        language.of(speak({})),
        syntaxHighlighting(colours),
        look,
        typing,
        wrong,
        placeholder("select expression, count(*) from corpus group by 1"),
        EditorView.lineWrapping,
        EditorView.contentAttributes.of({ "aria-label": "SQL" }),
        EditorView.updateListener.of((update) => {
          if (update.docChanged) changed(update.state.doc.toString());
        }),
        keymap.of([
          ...completionKeymap,
          ...closeBracketsKeymap,
          ...historyKeymap,
          {
            key: "Escape",
            run: () => {
              leave();
              return true;
            },
          },
          ...keys,
        ]),
      ],
    }),
  });
  return {
    set(text) {
      view.dispatch({ changes: { from: 0, to: view.state.doc.length, insert: text } });
    },
    learn: (schema) => view.dispatch({ effects: language.reconfigure(speak(schema)) }),
    mark(at) {
      const { doc } = view.state;
      if (!at || at.line > doc.lines) return view.dispatch({ effects: marking.of(null) });
      const line = doc.line(Math.max(1, at.line));
      const from = Math.min(line.from + Math.max(0, at.column - 1), line.to);
      const word = view.state.wordAt(from);
      view.dispatch({ effects: marking.of({ from, to: Math.max(word?.to ?? from, Math.min(from + 1, doc.length)) }) });
    },
    focus: () => view.focus(),
    destroy: () => view.destroy(),
  };
}
