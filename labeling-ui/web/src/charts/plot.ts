// The parts of Observable Plot that the charts use; named, so that the rest stays out of the page.

export {
  areaY,
  axisX,
  axisY,
  barX,
  cell,
  dot,
  dotX,
  gridX,
  gridY,
  line,
  lineY,
  plot,
  rectY,
  ruleX,
  ruleY,
  text,
  textX,
} from "@observablehq/plot";
