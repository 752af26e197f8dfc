//! What is rendered: a program as most Go feedstocks have it, the variant file that goes with it, and a pinning file of
//! the shape and size of conda-forge's.

use std::fmt::Write as _;

pub(crate) const GO_V0: &str = r#"{% set name = "tally" %}
{% set version = "1.12.3" %}

package:
  name: {{ name|lower }}
  version: {{ version }}

source:
  - folder: src
    url: https://example.org/{{ name }}/archive/refs/tags/v{{ version }}.tar.gz
    sha256: 396007bc0bc53de253391493bda1252757ba63af1a19db86cfb60a35cb9d290a

build:
  number: 0
  script:
    - cd src
    - go-licenses save . --save_path ../library_licenses
    - go build -v -ldflags "-s -w -X main.version={{ version }}" -o $PREFIX/bin/tally .  # [not win]
    - go build -v -ldflags "-s -w -X main.version={{ version }}" -o %LIBRARY_BIN%\tally.exe .  # [win]

requirements:
  build:
    - {{ compiler('go-nocgo') }}
    - go-licenses
  run:
    - __glibc >=2.17  # [linux]
    - __osx >={{ MACOSX_DEPLOYMENT_TARGET|default("11.0") }}  # [osx]

test:
  commands:
    - tally --version
    - tally --help
    - test -f $PREFIX/bin/tally  # [unix]

about:
  home: https://example.org/tally
  summary: Counts what it is given
  description: |
    tally reads lines, counts equal ones and prints them by number. It works on files of any
    size, for it keeps no more than the distinct lines in memory.
  license: Apache-2.0
  license_family: APACHE
  license_file:
    - src/LICENSE
    - library_licenses/
  dev_url: https://example.org/tally/src
  doc_url: https://example.org/tally/doc

extra:
  recipe-maintainers:
    - someone
    - someone-else
  feedstock-name: {{ name }}
"#;

pub(crate) const GO_V1: &str = r#"context:
  name: tally
  version: "1.12.3"

package:
  name: ${{ name|lower }}
  version: ${{ version }}

source:
  url: https://example.org/${{ name }}/archive/refs/tags/v${{ version }}.tar.gz
  sha256: 396007bc0bc53de253391493bda1252757ba63af1a19db86cfb60a35cb9d290a
  target_directory: src

build:
  number: 0
  script:
    - cd src
    - go-licenses save . --save_path ../library_licenses
    - if: unix
      then: go build -v -ldflags "-s -w -X main.version=${{ version }}" -o $PREFIX/bin/tally .
      else: go build -v -ldflags "-s -w -X main.version=${{ version }}" -o %LIBRARY_BIN%\tally.exe .

requirements:
  build:
    - ${{ compiler('go-nocgo') }}
    - go-licenses
  run:
    - if: linux
      then: __glibc >=2.17

tests:
  - script:
      - tally --version
      - tally --help
      - if: unix
        then: test -f $PREFIX/bin/tally

about:
  homepage: https://example.org/tally
  summary: Counts what it is given
  description: |
    tally reads lines, counts equal ones and prints them by number. It works on files of any
    size, for it keeps no more than the distinct lines in memory.
  license: Apache-2.0
  license_file:
    - src/LICENSE
    - library_licenses/
  repository: https://example.org/tally/src
  documentation: https://example.org/tally/doc

extra:
  recipe-maintainers:
    - someone
    - someone-else
  feedstock-name: ${{ name }}
"#;

pub(crate) const SMALL_VARIANT: &str = "channel_sources:
- conda-forge
channel_targets:
- conda-forge main
docker_image:
- quay.io/example/linux-anvil-x86_64:alma9
go_compiler:
- go-nocgo
go_compiler_version:
- '1.26'
target_platform:
- linux-64
";

/// Twelve hundred lines: compilers zipped over platforms with selectors that ask the environment, then hundreds of
/// pinned libraries, as in conda-forge's.
pub(crate) fn pinning_file() -> String {
    let mut text = String::from("# Keep this file in the order of its parts.\n");
    for compiler in ["c", "cxx", "fortran"] {
        write!(
            text,
            "{compiler}_compiler:\n  - gcc                        # [linux]\n  - clang                      # [osx]\n  \
             - vs2022                     # [win and os.environ.get(\"CF_CUDA_ENABLED\", \"False\") != \"True\"]\n  \
             - vs2022                     # [win and os.environ.get(\"CF_CUDA_ENABLED\", \"False\") == \"True\"]\n\
             {compiler}_compiler_version:    # [unix]\n  - 14                         # [linux]\n  \
             - 19                         # [osx]\n  \
             - 13                         # [linux and os.environ.get(\"CF_CUDA_ENABLED\", \"False\") == \"True\"]\n"
        )
        .unwrap();
    }
    text.push_str(
        "go_compiler:\n  - go-nocgo\ngo_compiler_version:\n  - 1.26\ncgo_compiler:\n  - go-cgo\n\
         target_goexe:\n  -                            # [unix]\n  - .exe                       # [win]\n\
         cuda_compiler_version:\n  - None\n  \
         - 12.9                       # [((linux and (x86_64 or aarch64)) or win64) and os.environ.get(\"CF_CUDA_ENABLED\", \"False\") == \"True\"]\n  \
         - 13.0                       # [((linux and (x86_64 or aarch64)) or win64) and os.environ.get(\"CF_CUDA_ENABLED\", \"False\") == \"True\"]\n\
         docker_image:                                   # [os.environ.get(\"BUILD_PLATFORM\", \"\").startswith(\"linux-\")]\n  \
         - quay.io/example/anvil-x86_64:alma9            # [os.environ.get(\"BUILD_PLATFORM\") == \"linux-64\"]\n  \
         - quay.io/example/anvil-aarch64:alma9           # [os.environ.get(\"BUILD_PLATFORM\") == \"linux-aarch64\"]\n\
         zip_keys:\n  -                             # [unix]\n    - c_compiler_version         # [unix]\n    \
         - cxx_compiler_version       # [unix]\n    - fortran_compiler_version   # [unix]\n  -\n    \
         - python\n    - is_python_min\n\
         python:\n  - 3.10.* *_cpython\n  - 3.11.* *_cpython\n  - 3.12.* *_cpython\n  - 3.13.* *_cp313\n\
         is_python_min:\n  - true\n  - false\n  - false\n  - false\n\
         channel_sources:\n  - conda-forge\nchannel_targets:\n  - conda-forge main\n\
         pin_run_as_build:\n  python:\n    min_pin: x.x\n    max_pin: x.x\n  r-base:\n    min_pin: x.x\n    max_pin: x.x\n",
    );
    let mut number = 0;
    while text.lines().count() < 1_200 {
        number += 1;
        let (major, minor) = (number % 9 + 1, number % 23);
        writeln!(text, "lib_number_{number}:\n  - {major}.{minor}").unwrap();
        if number % 12 == 0 {
            writeln!(text, "lib_for_some_{number}:          # [not win]\n  - '{major}'          # [linux]\n  - '{minor}'          # [osx]").unwrap();
        }
        if number % 20 == 0 {
            writeln!(text, "# The next one waits for a migration.").unwrap();
        }
    }
    text
}
