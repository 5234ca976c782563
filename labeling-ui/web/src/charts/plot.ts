// The parts of Observable Plot that the charts use; named, so that the rest stays out of the page.

export { areaY, barX, dot, gridX, gridY, line, lineY, plot, ruleX, ruleY, text } from "@observablehq/plot";
