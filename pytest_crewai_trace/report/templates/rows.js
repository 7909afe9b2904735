// A list of any length: only the rows in view are in the page. The focus stays on the box; its active row is told by
// aria-activedescendant.
class Rows {
  constructor(box, { draw, choose, move = () => {}, key = () => false }) {
    Object.assign(this, { box, draw, choose, move, key, items: [], active: -1, height: 0, drawn: new Map() });
    this.sheet = el("div", { role: "presentation", class: "sheet" });
    box.replaceChildren(this.sheet);
    box.addEventListener("scroll", () => this.render());
    box.addEventListener("keydown", (event) => this.pressed(event));
    box.addEventListener("click", (event) => {
      const row = event.target.closest("[data-place]");
      if (row !== null) this.clicked(Number(row.dataset.place), event);
    });
    new ResizeObserver(() => this.render(true)).observe(box);
  }

  set(items, active = -1) {
    this.items = items;
    this.active = Math.min(active, items.length - 1);
    this.render(true);
  }

  // Make a row the active one and bring it into view.
  activate(place, tell = true) {
    if (this.items.length === 0) return;
    this.active = Math.max(0, Math.min(place, this.items.length - 1));
    this.render();
    const top = this.active * this.height;
    const bottom = top + this.height - this.box.clientHeight;
    if (this.box.scrollTop > top) this.box.scrollTop = top;
    else if (this.box.scrollTop < bottom) this.box.scrollTop = bottom;
    this.render();
    if (tell) this.move(this.items[this.active]);
  }

  // The focus comes: the first row in view is the active one. Nothing moves, as a finger may be on a row.
  enter() {
    if (this.active >= 0 || this.items.length === 0) return;
    this.active = Math.min(Math.ceil(this.box.scrollTop / (this.height || 1)), this.items.length - 1);
    this.render();
  }

  clicked(place, event) {
    this.activate(place, false);
    this.choose(this.items[this.active], event);
  }

  pressed(event) {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const page = Math.max(1, Math.floor(this.box.clientHeight / (this.height || 1)) - 1);
    const places = {
      ArrowDown: this.active + 1,
      ArrowUp: this.active - 1,
      PageDown: this.active + page,
      PageUp: this.active - page,
      Home: 0,
      End: this.items.length - 1,
    };
    if (event.key in places) this.activate(places[event.key]);
    else if (this.active < 0) return;
    else if (event.key === "Enter" || event.key === " ") this.choose(this.items[this.active], event);
    else if (!this.key(event.key, this.items[this.active])) return;
    event.preventDefault();
    event.stopPropagation();
  }

  // Drawn again are all rows after a change, else only those that came into view: a row that is being clicked stays.
  render(changed = false) {
    if (changed) this.drawn.clear();
    if (changed && this.items.length > 0) {
      this.sheet.replaceChildren(this.row(0));
      this.height = this.sheet.firstChild.getBoundingClientRect().height;
      this.drawn.clear();
    }
    this.sheet.style.height = `${this.items.length * this.height}px`;
    const first = Math.max(0, Math.floor(this.box.scrollTop / (this.height || 1)) - 4);
    const last = Math.min(this.items.length, first + Math.ceil(this.box.clientHeight / (this.height || 1)) + 9);
    const places = [];
    for (let place = first; place < last; place += 1) places.push(place);
    if (this.active >= 0 && (this.active < first || this.active >= last)) places.push(this.active);
    if (changed || places.length !== this.drawn.size || places.some((place) => !this.drawn.has(place))) {
      this.drawn = new Map(places.map((place) => [place, this.drawn.get(place) ?? this.row(place)]));
      this.sheet.replaceChildren(...this.drawn.values());
    }
    for (const [place, row] of this.drawn) row.setAttribute("aria-selected", String(place === this.active));
    if (this.active >= 0) this.box.setAttribute("aria-activedescendant", `${this.box.id}-${this.active}`);
    else this.box.removeAttribute("aria-activedescendant");
  }

  row(place) {
    const made = this.draw(this.items[place], place);
    made.id = `${this.box.id}-${place}`;
    made.dataset.place = place;
    made.classList.add("row");
    made.style.top = `${place * this.height}px`;
    return made;
  }
}
