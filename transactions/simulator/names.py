"""Names of a country that does not exist, in the manner of real ones."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Region:
    """A region: its code in the electoral system, not the constitution's, and its zone."""

    code: int
    name: str
    timezone: str

    @property
    def folder(self) -> str:
        """Return the region's folder in an export."""
        return f"{self.code:02d} - {self.name}"


# Every second one keeps Moscow time, as about half of the voters do; the others cover
# UTC+2 to UTC+12 as early as possible, so that a small election has far zones too.
REGIONS = (
    Region(50, "Московская область", "Europe/Moscow"),
    Region(90, "Пермский край", "Asia/Yekaterinburg"),
    Region(35, "Вологодская область", "Europe/Moscow"),
    Region(91, "Камчатский край", "Asia/Kamchatka"),
    Region(61, "Ростовская область", "Europe/Moscow"),
    Region(39, "Калининградская область", "Europe/Kaliningrad"),
    Region(76, "Ярославская область", "Europe/Moscow"),
    Region(54, "Новосибирская область", "Asia/Novosibirsk"),
    Region(48, "Липецкая область", "Europe/Moscow"),
    Region(63, "Самарская область", "Europe/Samara"),
    Region(46, "Курская область", "Europe/Moscow"),
    Region(38, "Иркутская область", "Asia/Irkutsk"),
    Region(60, "Псковская область", "Europe/Moscow"),
    Region(25, "Приморский край", "Asia/Vladivostok"),
    Region(67, "Смоленская область", "Europe/Moscow"),
    Region(55, "Омская область", "Asia/Omsk"),
    Region(51, "Мурманская область", "Europe/Moscow"),
    Region(28, "Амурская область", "Asia/Yakutsk"),
    Region(12, "Республика Марий Эл", "Europe/Moscow"),
    Region(49, "Магаданская область", "Asia/Magadan"),
    Region(21, "Чувашская Республика", "Europe/Moscow"),
    Region(66, "Свердловская область", "Asia/Yekaterinburg"),
)

_PLACES = (
    "Заречный",
    "Берёзовский",
    "Ключевской",
    "Северный",
    "Озёрный",
    "Кедровый",
    "Луговской",
    "Каменский",
    "Покровский",
    "Тихореченский",
    "Светлоборский",
    "Набережный",
    "Верхнеполянский",
    "Соснинский",
    "Дальний",
    "Старомостовский",
)
_KINDS = (
    "{place} одномандатный избирательный округ № {number}",
    "Одномандатный избирательный округ №{number}",
    "{place} двухмандатный избирательный округ № {number}",
    "Округ №{number}",
    "{place}",
)


def district_name(*, number: int, choice: int) -> str:
    """Return a name for the `number`-th district of its region."""
    place = _PLACES[choice % len(_PLACES)]
    form = _KINDS[choice // len(_PLACES) % len(_KINDS)]
    return form.format(place=place, number=number)


def long_election_name(name: str) -> str:
    """Return a name beside `name` that is too long for a folder: over 255 UTF-8 bytes."""
    return (
        f"{name}. Дополнительные выборы депутатов Совета депутатов муниципального "
        "образования «Заречный муниципальный округ Верхнеполянского края» третьего созыва "
        "по многомандатным избирательным округам, мандаты которых вакантны"
    )
