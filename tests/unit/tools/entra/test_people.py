from dataclasses import replace

from tools.entra.people import (
    Changes,
    apply_changes,
    directory,
    generate_changes,
    renamed,
)


def test_same_seed_gives_same_people_and_changes():
    people = directory(200, seed=7)

    assert people == directory(200, seed=7)
    assert generate_changes(people, seed=7) == generate_changes(people, seed=7)
    assert people != directory(200, seed=8)


def test_larger_directory_starts_with_people_of_smaller_one():
    assert directory(50, seed=7) == directory(200, seed=7)[:50]


def test_user_names_and_external_ids_stay_unique_after_changes():
    people = directory(2000, seed=7)
    now = apply_changes(people, generate_changes(people, seed=7)).values()

    for population in (people, now):
        assert len({person.user_name.lower() for person in population}) == len(population)
        assert len({person.external_id.lower() for person in population}) == len(population)


def test_names_contain_characters_that_are_easily_lost():
    people = directory(1000, seed=7)

    assert any("+" in person.user_name for person in people)
    assert any("'" in person.user_name for person in people)
    assert any(not person.family_name.isascii() for person in people)
    assert all(person.user_name.isascii() for person in people)


def test_restored_and_deleted_people_are_distinct_and_were_disabled():
    changes = generate_changes(directory(1000, seed=7), seed=7)
    disabled = {person.number for person in changes.disabled}
    restored = {person.number for person in changes.restored}
    deleted = {person.number for person in changes.deleted}

    assert (len(disabled), len(restored), len(deleted)) == (30, 10, 10)
    assert restored | deleted < disabled
    assert not restored & deleted
    assert not disabled & {person.number for person in changes.updated}


def test_update_changes_a_value_and_keeps_external_id():
    people = directory(1000, seed=7)
    before = {person.number: person for person in people}

    for person in generate_changes(people, seed=7).updated:
        assert person != before[person.number]
        assert person.external_id == before[person.number].external_id


def test_changed_directory_lacks_deleted_and_has_joined_people():
    people = directory(100, seed=7)
    changes = generate_changes(people, seed=7)
    now = apply_changes(people, changes)

    assert not {person.number for person in changes.deleted} & now.keys()
    assert {person.number for person in changes.joined} <= now.keys()
    assert len(now) == 100 - len(changes.deleted) + len(changes.joined)


def test_smallest_directory_has_changes():
    people = directory(1, seed=7)

    assert len(apply_changes(people, generate_changes(people, seed=7))) == 2


def test_former_names_are_those_that_are_no_longer_found():
    people = directory(3, seed=1)
    updated = (
        replace(people[0], user_name=people[0].user_name.swapcase()),
        replace(people[1], user_name="other@corp.test"),
        replace(people[2], title="Analyst"),
    )
    changes = Changes(updated=updated, disabled=(), restored=(), deleted=(), joined=())
    assert renamed(people, changes) == [people[1]]


def test_no_former_name_of_a_large_directory_is_still_in_use():
    people = directory(100_000, seed=1)
    changes = generate_changes(people, seed=1)
    current = {each.user_name.lower() for each in apply_changes(people, changes).values()}
    former = renamed(people, changes)
    assert len(former) > 1_000
    assert [each for each in former if each.user_name.lower() in current] == []
