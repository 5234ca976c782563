// Which rows of a long grid are drawn: those in view and a few beside them; the others are only height. In: how wide
// and high the window on them is, and how far it is scrolled. Out: columns, sizes, and rows by number.

/** Pixels between cells, and of a cell's line of text. */
const GAP = 10;
const CAPTION = 22;
/** Rows that are drawn above and below those in view, so that their pictures are there before they are. */
const BESIDE = 3;

export interface Layout {
  columns: number;
  /** Pixels of a picture's side. */
  side: number;
  /** Pixels from one row to the next, and from one column to the next. */
  down: number;
  across: number;
}

/** As many columns as fit. */
export function layoutOf(width: number): Layout {
  const least = width > 1700 ? 112 : width < 480 ? 88 : 92;
  const columns = Math.max(3, Math.floor((width + GAP) / (least + GAP)));
  const side = Math.max(1, Math.floor((width - GAP * (columns - 1)) / columns));
  return { columns, side, down: side + CAPTION + GAP, across: side + GAP };
}

/** Pixels of all rows together. */
export function heightOf(layout: Layout, cells: number): number {
  return Math.max(0, Math.ceil(cells / layout.columns) * layout.down - GAP);
}

/** Some places of the list, from the first to before the end. */
export interface Range {
  from: number;
  to: number;
}

/** Cells whose rows are drawn, and those whose pictures are in view from top to bottom. */
export function rowsIn(layout: Layout, cells: number, top: number, height: number): { drawn: Range; whole: Range } {
  const { columns, side, down } = layout;
  const first = Math.max(0, Math.floor(top / down));
  const end = Math.ceil((top + height) / down);
  const whole = Math.ceil(top / down - 1e-6);
  const wholeEnd = Math.floor((top + height - side) / down + 1e-6) + 1;
  const cut = (from: number, to: number) => {
    const place = (row: number) => Math.max(0, Math.min(cells, row * columns));
    return { from: place(from), to: place(to) };
  };
  return {
    drawn: cut(first - BESIDE, end + BESIDE),
    // Where not even one row fits, the one in view is the one that is looked at.
    whole: wholeEnd > whole ? cut(whole, wholeEnd) : cut(first, first + 1),
  };
}

/** How far to scroll so that a cell is in view from top to bottom; as far as now where it is already. */
export function scrolledTo(layout: Layout, place: number, top: number, height: number): number {
  const above = Math.floor(place / layout.columns) * layout.down;
  const below = above + layout.down - GAP;
  if (above < top) return above;
  return below > top + height ? below - height : top;
}
