// Draws the figures of a page, and draws them again in other colours or for another width when the reader's screen changes.
"use strict";
const plotFigures = (() => {
  const { colours, narrowest, height, template } = JSON.parse(document.getElementById("settings").textContent);
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const narrow = matchMedia(`(max-width: ${narrowest}px)`);
  const fingers = matchMedia("(pointer: coarse)");
  const PRINTED_WIDTH = 660;
  let printing = false;

  const figuresIn = (root) => [...root.querySelectorAll("figure")].map((figure) => ({
    place: figure.querySelector(".plot"),
    ...JSON.parse(figure.querySelector("script").textContent),
  }));

  // Plotly writes into what it is given: every drawing starts from a copy.
  const copied = (value, paint) => {
    if (typeof value === "string") return (paint && colours[value]) || value;
    if (Array.isArray(value)) return value.map((item) => copied(item, paint));
    if (value === null || typeof value !== "object") return value;
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, copied(item, paint)]));
  };
  const layoutOf = (figure) => {
    const chosen = narrow.matches && !printing ? figure.narrow : figure.layout;
    const layout = copied({ ...chosen, template }, dark.matches && !printing);
    // A finger that moves over a figure moves the page.
    if (fingers.matches) layout.dragmode = false;
    // The reader's own zoom stays when the data change.
    return { ...layout, width: printing ? PRINTED_WIDTH : undefined, height: layout.height || height, uirevision: 1 };
  };
  const draw = (figure, plot) => {
    const layout = layoutOf(figure);
    figure.place.style.height = `${layout.height}px`;
    plot(figure.place, copied(figure.data, dark.matches && !printing), layout, {
      responsive: true,
      // Its buttons would lie over the legend.
      displayModeBar: false,
    });
  };
  // Anew: what an earlier width made of the margins would stay otherwise.
  const drawAll = () => figuresIn(document).forEach((figure) => draw(figure, Plotly.newPlot));
  dark.addEventListener("change", drawAll);
  narrow.addEventListener("change", drawAll);
  addEventListener("beforeprint", () => { printing = true; drawAll(); });
  addEventListener("afterprint", () => { printing = false; drawAll(); });

  // Draws the figures below an element; what is drawn already changes to its new data.
  return (root) => {
    const figures = figuresIn(root);
    // One after the other, so that the page can be read and moved meanwhile.
    const drawFrom = (index) => {
      if (index === figures.length) return document.documentElement.setAttribute("data-plotted", String(index));
      if (figures[index].place.isConnected) draw(figures[index], Plotly.react);
      setTimeout(drawFrom, 0, index + 1);
    };
    figures.forEach((figure) => {
      figure.place.style.height = `${layoutOf(figure).height}px`;
      figure.place.style.minWidth = `${figure.width}px`;
    });
    drawFrom(0);
  };
})();
plotFigures(document);
